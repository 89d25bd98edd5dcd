"""Durable files are written whole or not at all, and a lock keeps others out."""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fedau2 import files


def test_a_file_takes_the_place_of_the_older_one_and_has_its_permissions(tmp_path):
    path, leftover = tmp_path / "pace.json", tmp_path / "pace.json.tmp"
    path.write_bytes(b"older")
    leftover.write_bytes(b"left by a crash, and longer")
    for older in (path, leftover):
        older.chmod(0o666)
    before = os.umask(0)
    try:
        files.write(path, b"newer", files.PRIVATE)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"newer"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_where_the_disk_is_full_the_one_before_stays(tmp_path):
    path = tmp_path / "pace.json"
    files.write(path, b"older")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3, limits[1]))
    try:
        with pytest.raises(OSError, match=f"too large: '{path}'"):
            files.write(path, b"newer")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (OSError(errno.ENOSPC, "full"), "folder"),
        (OSError(errno.ENOSPC, "full", "file"), "file"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), None),
    ],
)
def test_an_error_of_the_disk_names_a_place_and_keeps_the_name_that_it_has(tmp_path, error, name):
    with pytest.raises(OSError, match=r"full|refused") as raised, files.named(Path("folder")):
        raise error
    assert raised.value.filename == name


class Noted(files.Steps):
    """The real disk, which notes the steps and may fail at one of them."""

    def __init__(self, failing=None):
        self.steps, self.failing = [], failing

    def __getattribute__(self, name):
        method = super().__getattribute__(name)
        if name in ("create", "write", "sync", "rename", "delete", "sync_folder"):
            self.steps.append(name)
            if name == self.failing:
                raise OSError(errno.EIO, "injected")
        return method


def test_a_file_is_synced_before_it_has_its_name_and_its_folder_afterwards(tmp_path):
    disk = Noted()
    disk.write_file(tmp_path / "file", b"data")
    assert disk.steps == ["delete", "create", "write", "sync", "rename", "sync_folder"]
    assert (tmp_path / "file").read_bytes() == b"data"


@pytest.mark.parametrize("step", ["create", "write", "sync", "rename", "sync_folder"])
def test_after_an_error_there_is_one_whole_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    path.write_bytes(b"older")
    monkeypatch.setattr(files, "_STEPS", Noted(step))
    with pytest.raises(OSError, match="injected"):
        files.write(path, b"newer")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == (b"newer" if step == "sync_folder" else b"older")


def test_folders_are_made_with_those_above_and_each_is_synced_into_the_one_above(tmp_path):
    disk = Noted()
    disk.make_folder(tmp_path / "state" / "blobs")
    assert (tmp_path / "state" / "blobs").is_dir()
    assert disk.steps == ["sync_folder", "sync_folder"]
    disk.make_folder(tmp_path / "state" / "blobs")
    assert len(disk.steps) == 2


TAKE = """
import sys
from fedau2 import files
with open(sys.argv[1], "a") as file:
    try:
        with files.locked(file):
            print("locked")
    except BlockingIOError:
        print("refused")
"""


def take(path):
    """What another process sees that wants the lock."""
    return subprocess.run([sys.executable, "-c", TAKE, path], capture_output=True, text=True, check=True).stdout.strip()


def test_a_lock_keeps_other_processes_out_until_its_block_ends(tmp_path):
    path = tmp_path / "lock"
    with path.open("a") as file:
        with files.locked(file):
            assert take(path) == "refused"
            with path.open("a") as again, pytest.raises(BlockingIOError), files.locked(again):
                pass
        assert take(path) == "locked"


def test_a_lock_ends_with_its_block_although_a_forked_process_still_has_the_file(tmp_path):
    path = tmp_path / "lock"
    with path.open("a") as file:
        with files.locked(file):
            copy = os.dup(file.fileno())  # as a fork has it
        assert take(path) == "locked"
        os.close(copy)


def test_folders_are_made_for_their_owner_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        files.Steps().make_folder(tmp_path / "state" / "blobs")
    finally:
        os.umask(before)
    for path in (tmp_path / "state", tmp_path / "state" / "blobs"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_that_leaves_the_block_frees_no_lock(tmp_path):
    path = tmp_path / "lock"
    with path.open("a") as file:
        with files.locked(file):
            process = os.fork()
            if process:
                os.waitpid(process, 0)
                assert take(path) == "refused"
        if not process:
            os._exit(0)
        assert take(path) == "locked"


DIES = """
import os, signal, sys
from fedau2 import files
with open(sys.argv[1], "a") as file, files.locked(file):
    if os.fork() == 0:
        sys.stdin.read()  # until the test is over
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_lock_ends_with_its_process_although_a_forked_one_lives_on(tmp_path):
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", DIES, path], stdin=subprocess.PIPE) as process:
        assert process.wait() == -signal.SIGKILL
        assert take(path) == "locked"
