"""The one seam through which the coordinator changes its disk, each step under its name.

Everything that writes to the state folder or commits to the ledger does it through a `Disk`. So a test can count the
steps of a task's life, and fail, tear or end the process at every single one.
"""

import errno
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from sqlalchemy.engine import Connection

from fedau2 import files

_log = logging.getLogger(__name__)

TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
"""Errors of a process, and of a system, that has too many open files."""

_PAUSE = 0.1
"""Seconds between two attempts to open a file while too many are open."""

R = TypeVar("R")


def patiently(opening: Callable[[], R]) -> R:
    """Opens something, and waits as long as too many files are open.

    Every connection is an open file too, so anybody can bring this about. It passes when connections end. To give up
    would end the coordinator for everybody.

    Raises:
        OSError: it cannot be opened for another reason.
    """
    waiting = False
    while True:
        try:
            return opening()
        except OSError as error:
            if error.errno not in TOO_MANY_FILES:
                raise
            if not waiting:
                _log.warning("too many open files; what arrives is written as soon as connections end")
        waiting = True
        time.sleep(_PAUSE)


class Disk(files.Steps):
    """The real disk: the steps of files and folders, and the commits of the ledger."""

    def create(self, path: Path, mode: int = files.PRIVATE) -> BinaryIO:
        """As `files.Steps.create`, for its owner alone."""
        return patiently(lambda: super(Disk, self).create(path, mode))

    def sync_folder(self, path: Path) -> None:
        """As `files.Steps.sync_folder`."""
        patiently(lambda: super(Disk, self).sync_folder(path))

    def commit(self, connection: Connection) -> None:
        """Commits a transaction of the ledger, durably."""
        connection.commit()

    def rewrite(self, file: BinaryIO, offset: int, data: bytes) -> None:
        """Writes over a few bytes of a file. They survive a kill at once, and a power failure after `sync`."""
        file.seek(offset)
        file.write(data)


REAL = Disk()
"""The disk that everything writes to unless a test gives another."""
