"""Other versions of the project: folders with its sources, from which a coordinator runs."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
"""The sources of this version."""

FIRST_OF_SEVERAL = "af91f8d7"
"""A commit: one of the first versions of which several share a ledger. Its ledger has version 6."""

LEDGER_4 = "bff9a761"
"""A commit whose ledger has version 4. It knows no other coordinators."""

_PARTS = ("coordinator", "proto")

_STEP = """
_later = sa.Column("later", sa.Integer())
sa.Table("task", sa.MetaData(), sa.Column("task_id", sa.String(32), primary_key=True), _later)
MIGRATIONS += (add_column(_later, 0),)
VERSION += 1
"""
"""A step of the ledger's schema that this version does not know."""


def place(sources):
    """Options of `Popen` for a process that runs from these sources."""
    return {"cwd": sources, "env": os.environ | {"PYTHONPATH": f"{sources}{os.pathsep}{sources / 'proto'}"}}


def earlier(commit, folder):
    """The sources of a commit, in a folder. Skips the test where the history is not there."""
    folder.mkdir()
    archive = folder.with_suffix(".tar")
    command = ["git", "archive", "--output", archive, commit, *_PARTS]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    if done.returncode:
        assert "not a valid object name" in done.stderr or "not a git repository" in done.stderr, done.stderr
        pytest.skip(f"the history of the project is not here: {done.stderr.strip()}")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def _copied(folder):
    for part in _PARTS:
        shutil.copytree(HERE / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def skewed(folder, seconds):
    """This version, in a folder, on a machine whose clock is ahead by so many seconds."""
    shift = f"import time\n_right = time.time\ntime.time = lambda: _right() + {seconds}\n"
    (_copied(folder) / "sitecustomize.py").write_text(shift)
    return folder


def later(folder):
    """A version after this one, in a folder: its ledger has one step of the schema more."""
    _copied(folder)
    with (folder / "coordinator" / "store" / "migrations.py").open("a") as module:
        module.write(_STEP)
    return folder
