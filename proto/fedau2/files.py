"""Durable files: written whole or not at all, and there after a crash; and locks between processes.

A durable write is made of steps: make a temporary file, write it, sync it, give it its name, sync its folder. `Steps`
has them as methods, so that a subclass can count them or make one fail. The functions carry them out on the real disk.

This module is the one place that asks what the platform has: Linux, macOS and Windows sync and lock differently.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, BinaryIO

PRIVATE = 0o600
"""Permissions of a file that only its owner may read."""

_PRIVATE_FOLDER = 0o700

_PUBLIC = 0o666
"""Permissions of a file that the process's umask narrows."""


def _module(name: str) -> Any:  # noqa: ANN401
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


_OF_DISK = (errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)
_fcntl = _module("fcntl")  # Unix
_msvcrt = _module("msvcrt")  # Windows
_locked: set[int] = set()
"""Descriptors of the files that this process has locked."""


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
        _sync(file.fileno(), getattr(os, "fdatasync", os.fsync))

    def rename(self, old: Path, new: Path) -> None:
        """Gives a file its name, in place of a file that has it. It survives a crash after `sync_folder`."""
        old.replace(new)

    def delete(self, path: Path) -> None:
        """Removes a file. A file that is not there is not an error."""
        path.unlink(missing_ok=True)

    def sync_folder(self, path: Path) -> None:
        """Makes new, renamed and removed files of a folder survive a crash, where the platform can sync folders."""
        if not hasattr(os, "O_DIRECTORY"):
            return  # Windows opens no folders
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _sync(descriptor, os.fsync)
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
        OSError: the disk is full or broken; it names the file. The older file stays, and no temporary file is left.
    """
    try:
        with named(path):
            _STEPS.write_file(path, data, mode)
    except OSError:
        with suppress(OSError):
            _temporary(path).unlink(missing_ok=True)  # on a full disk it would only take room
        raise


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Names a file or folder in errors of the disk that name none, since Python names none where a write fails."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _OF_DISK:
            error.filename = str(path)
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

    A process that is forked meanwhile does not hold the lock, and frees nothing when it leaves the block.

    Raises:
        BlockingIOError: another process has locked it, or this process has, through another descriptor.
        OSError: the file system or the platform has no locks.
    """
    descriptor, process = file if isinstance(file, int) else file.fileno(), os.getpid()
    _lock(descriptor)
    _locked.add(descriptor)
    try:
        yield
    finally:
        if os.getpid() == process:
            _locked.discard(descriptor)
            _unlock(descriptor)


def _lock(descriptor: int) -> None:
    if _fcntl is not None:
        _fcntl.flock(descriptor, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    elif _msvcrt is not None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            _msvcrt.locking(descriptor, _msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(error.errno, error.strerror) from error
    else:
        raise OSError(errno.ENOTSUP, "this platform has neither fcntl nor msvcrt, and so no file locks")


def _unlock(descriptor: int) -> None:
    if _fcntl is not None:  # explicitly, because a process that a library forked may hold the file open
        _fcntl.flock(descriptor, _fcntl.LOCK_UN)
    else:
        os.lseek(descriptor, 0, os.SEEK_SET)
        _msvcrt.locking(descriptor, _msvcrt.LK_UNLCK, 1)


def _let_go() -> None:
    """Replaces the locked files of a forked process, which would keep them locked after the end of their owner."""
    with Path(os.devnull).open("rb") as null:
        for descriptor in _locked:
            os.dup2(null.fileno(), descriptor, inheritable=False)
    _locked.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_let_go)


def _sync(descriptor: int, plain: Callable[[int], None]) -> None:
    """Has a file's or folder's changes written to the disk. On macOS, fsync leaves them in the disk's own cache."""
    full = getattr(_fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):  # not every file system can; the plain call raises if the disk is broken
            _fcntl.fcntl(descriptor, full)
            return
    plain(descriptor)


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp")


def _with(mode: int) -> Callable[[str, int], int]:
    return lambda name, flags: os.open(name, flags, mode)
