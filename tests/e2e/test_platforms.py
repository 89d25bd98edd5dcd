"""Files and locks on platforms that lack what Linux has, which is hidden here: macOS and Windows."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from coordinator.commands import serve
from fedau2 import files

# Windows' lock of a byte, as its documentation describes it: refused to whoever does not hold it.
MSVCRT = """
import asyncio, os, subprocess, sys, types  # before it is hidden what they are told Unix by

held = {}

def locking(descriptor, mode, size):
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0 and size == 1
    file = os.fstat(descriptor).st_ino
    if mode == msvcrt.LK_NBLCK:
        if file in held:
            raise PermissionError(13, "Permission denied")
        held[file] = descriptor
    else:
        assert mode == msvcrt.LK_UNLCK and held.pop(file) == descriptor

msvcrt = types.SimpleNamespace(LK_NBLCK=2, LK_UNLCK=0, locking=locking)
sys.modules |= {"fcntl": None, "resource": None, "msvcrt": msvcrt}
for name in ("fdatasync", "O_DIRECTORY"):
    delattr(os, name)
"""
NO_LOCKS = """
import sys
sys.modules |= {"fcntl": None, "resource": None, "msvcrt": None}
"""
CLIENT = """
from client_sdk import FedClient, StoreError, StoreLockedError
with FedClient.open("state", "localhost:1", "films") as client:
    client.record("film-1")
    try:
        FedClient.open("state", "localhost:1", "films")
    except StoreLockedError:
        print("locked")
with FedClient.open("state", "localhost:1", "films") as client:
    print(client.status().recorded)
"""
COORDINATOR = """
import asyncio
from pathlib import Path
from coordinator import Coordinator
from coordinator.errors import FolderLockedError

async def life():
    async with await Coordinator.open(Path("server")):
        try:
            await Coordinator.open(Path("server"))
        except FolderLockedError:
            print("locked")
    async with await Coordinator.open(Path("server")):
        print("opened")

asyncio.run(life())
"""
RUN = """
from pathlib import Path
from simulator.errors import ConfigError
from simulator.experiment import lock, resources
with lock.hold(Path("run")):
    Path("run/metrics.json").touch()
    try:
        with lock.hold(Path("run")):
            pass
    except ConfigError:
        print("locked")
print(resources.peak_rss_mib())
"""


def python(platform, code, folder):
    command = [sys.executable, "-c", platform + code]
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env={**os.environ, "PYTHONPATH": path})


@pytest.mark.parametrize(
    ("code", "says"), [(CLIENT, "locked\n1\n"), (COORDINATOR, "locked\nopened\n"), (RUN, "locked\nNone\n")]
)
def test_without_fcntl_and_resource_windows_locks_are_used(tmp_path, code, says):
    done = python(MSVCRT, code, tmp_path)
    assert done.stdout == says, done.stderr


def test_without_any_locks_a_client_is_refused(tmp_path):
    code = "from client_sdk import FedClient, StoreError\n"
    code += "try: FedClient.open('state', 'localhost:1', 'films')\nexcept StoreError as error: print(error)"
    done = python(NO_LOCKS, code, tmp_path)
    assert "neither fcntl nor msvcrt, and so no file locks" in done.stdout, done.stderr


@pytest.mark.parametrize("module", ["simulator", "coordinator", "export.cli"])
def test_every_command_starts_without_fcntl_and_resource(tmp_path, module):
    start = (
        f"from {module}{'' if '.' in module else '.__main__'} import main\nsys.argv = ['x', '--help']\nsys.exit(main())"
    )
    done = python(NO_LOCKS, start, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage" in done.stdout.lower()


@pytest.fixture
def synced(monkeypatch):
    """Which system calls a durable write made of a platform's."""
    calls = []

    def noted(name):
        real = getattr(os, name)

        def call(descriptor):
            calls.append(name)
            real(descriptor)

        return call

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, noted(name))
    return calls


def test_linux_syncs_a_file_and_then_its_folder(tmp_path, synced):
    files.write(tmp_path / "file", b"data")
    assert synced == ["fdatasync", "fsync"]


def test_without_fdatasync_files_are_synced_by_fsync(tmp_path, synced, monkeypatch):
    monkeypatch.delattr(os, "fdatasync")
    files.write(tmp_path / "file", b"data")
    assert synced == ["fsync", "fsync"]


@pytest.mark.parametrize("can", [True, False])
def test_macos_has_the_disk_write_its_cache_where_the_file_system_can(tmp_path, synced, monkeypatch, can):
    def fcntl(descriptor, command):
        assert command == 51
        if not can:
            raise OSError(errno.ENOTSUP, "not on this file system")
        synced.append("full")

    monkeypatch.delattr(os, "fdatasync")
    monkeypatch.setattr(files, "_fcntl", SimpleNamespace(F_FULLFSYNC=51, fcntl=fcntl))
    files.write(tmp_path / "file", b"data")
    assert synced == (["full", "full"] if can else ["fsync", "fsync"])


def test_a_platform_that_opens_no_folders_syncs_files_only(tmp_path, synced, monkeypatch):
    monkeypatch.delattr(os, "O_DIRECTORY")
    files.write(tmp_path / "file", b"data")
    assert synced == ["fdatasync"]
    assert (tmp_path / "file").read_bytes() == b"data"


def test_signals_end_the_coordinator_where_the_loop_handles_none(monkeypatch):
    def refused(*arguments):
        raise NotImplementedError  # as on Windows

    async def life():
        monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", refused)
        arrived = serve._signals()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
            assert await arrived.get() == number

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        asyncio.run(life())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
