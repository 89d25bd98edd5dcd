"""A program in what a container gives it: a read-only root, places that may be written, no capability."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

from tests.deploy.files import DEPLOY, ROOT

_ROOT = """
mount --make-rprivate /
mount --bind "$1" /etc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
for place in /run/fedau2 /run/fedau2-metrics /var/lib/fedau2; do
  mkdir $place
  mount -t tmpfs -o mode=700 tmpfs $place
done
for place in / /etc /run /var/lib; do mount -o remount,ro,bind $place; done
mount -t tmpfs -o ro tmpfs /dev/shm
shift
cd /var/lib/fedau2
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""

PLACES = "/run/fedau2 /run/fedau2-metrics /var/lib/fedau2"
"""The places that may be written."""


def possible():
    """Whether this user may make such a place."""
    return all(map(shutil.which, ("unshare", "setpriv", "mount"))) and not _unshared("true").wait()


def _unshared(*words):
    return subprocess.Popen(["unshare", "--mount", *words], stderr=subprocess.DEVNULL)


@contextmanager
def running(folder, program, shell, settings):
    """Runs a shell line, in which `$ENTRY` is the entry point of an image, and kills it if it has not ended.

    Args:
        folder: for what is needed outside.
        program: the name of the program's module; in the image it is called `fedau2-...`.
        shell: the line.
        settings: the folder that is `/etc/fedau2` inside.
    """
    etc, bin = folder / "etc", folder / "bin"
    shutil.copytree("/etc", etc, symlinks=True)
    shutil.copytree(settings, etc / "fedau2")
    bin.mkdir()
    (bin / f"fedau2-{program}").write_text(f'#!/bin/sh\nexec {sys.executable} -m {program} "$@"\n')
    (bin / f"fedau2-{program}").chmod(0o755)
    environment = {"PATH": f"{bin}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    environment |= {"ENTRY": f"{DEPLOY}/container/entrypoint.sh fedau2-{program}"}
    words = ["unshare", "--mount", "sh", "-eu", "-c", _ROOT, "root", etc, "sh", "-eu", "-c", shell]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, env=environment, **pipes) as child:
        try:
            yield child
        finally:
            child.kill()


def healthy(address):
    """Runs the images' health check; returns its status and what it said."""
    words = [sys.executable, DEPLOY / "container" / "health.py", address]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr
