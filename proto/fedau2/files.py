"""Durable files: written whole or not at all, and there after a crash; and locks between processes.

A durable write is made of steps: make a temporary file, write it, sync it, give it its name, sync its folder. `Steps`
has them as methods, so that a subclass can count them or make one fail. The functions carry them out on the real disk.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

PRIVATE = 0o600
"""Permissions of a file that only its owner may read."""

_PRIVATE_FOLDER = 0o700

_PUBLIC = 0o666
"""Permissions of a file that the process's umask narrows."""


class Steps:
    """The single steps by which files and folders change. Each raises OSError if the disk is full or broken."""

    def make_folder(self, path: Path) -> None:
        """Makes a folder, and those above it, that survive a crash, for their owner alone.

        A folder that is there is left as it is.
        """
        if not path.is_dir():
            if path.parent != path:
                self.make_folder(path.parent)
            path.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
            self.sync_folder(path.parent)

    def create(self, path: Path, mode: int = PRIVATE) -> BinaryIO:
        """Makes a new file and opens it for writing. It survives a crash after `sync_folder`."""
        return open(path, "xb", opener=_with(mode))

    def write(self, file: BinaryIO, data: bytes) -> None:
        """Appends to a file. The bytes survive a crash after `sync`."""
        file.write(data)

    def sync(self, file: BinaryIO) -> None:
        """Makes what was written to a file survive a crash."""
        file.flush()
        getattr(os, "fdatasync", os.fsync)(file.fileno())  # macOS has fsync only

    def rename(self, old: Path, new: Path) -> None:
        """Gives a file its name, in place of a file that has it. It survives a crash after `sync_folder`."""
        old.replace(new)

    def delete(self, path: Path) -> None:
        """Removes a file. A file that is not there is not an error."""
        path.unlink(missing_ok=True)

    def sync_folder(self, path: Path) -> None:
        """Makes new, renamed and removed files of a folder survive a crash."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def write_file(self, path: Path, data: bytes, mode: int = PRIVATE) -> None:
        """Writes a file that is there whole or not at all, and survives a crash. It is made of the steps above.

        An error may leave the temporary file. The next write of the same file removes it.
        """
        temporary = _temporary(path)
        self.delete(temporary)
        with self.create(temporary, mode) as file:
            self.write(file, data)
            self.sync(file)
        self.rename(temporary, path)
        self.sync_folder(path.parent)


_STEPS = Steps()


def write(path: Path, data: bytes, mode: int = _PUBLIC) -> None:
    """Puts a file in place of an older one; it is durable on return.

    Args:
        path: the file, in a folder that exists.
        data: its contents.
        mode: its permissions, for example `PRIVATE`.

    Raises:
        OSError: the disk is full or broken. The older file stays, and no temporary file is left.
    """
    try:
        _STEPS.write_file(path, data, mode)
    except OSError:
        with suppress(OSError):
            _temporary(path).unlink(missing_ok=True)  # on a full disk it would only take room
        raise


def sync_folder(path: Path) -> None:
    """Makes new, renamed and removed files of a folder survive a crash.

    Raises:
        OSError: the disk is broken.
    """
    _STEPS.sync_folder(path)


@contextmanager
def locked(file: int | IO[str]) -> Iterator[None]:
    """Locks an open file against other processes while the block runs. The lock ends with the process, however it ends.

    Raises:
        BlockingIOError: another process has locked it, or this process has, through another descriptor.
        OSError: the file system has no locks.
    """
    import fcntl  # here, because only Unix has it

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # a process that was forked meanwhile may hold the file open


def _temporary(path: Path) -> Path:
    return path.with_suffix(".tmp")


def _with(mode: int) -> Callable[[str, int], int]:
    return lambda name, flags: os.open(name, flags, mode)
