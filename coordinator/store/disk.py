"""Every step by which the coordinator changes its disk, each under its name.

One seam: what writes to the state folder or commits to the ledger does it through a `Disk`. So a test can count the
steps of a task's life and fail, tear or end the process at every single one.
"""

import os
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.engine import Connection


class Disk:
    """The real disk. Every step raises OSError if the disk is full or broken."""

    def make_folder(self, path: Path) -> None:
        """Makes a folder, and those above it, that survive a crash; one that is there is fine."""
        if not path.is_dir():
            if path.parent != path:
                self.make_folder(path.parent)
            path.mkdir(exist_ok=True)
            self.sync_folder(path.parent)

    def create(self, path: Path) -> BinaryIO:
        """A new file, open for writing; it survives a crash after `sync_folder`."""
        return path.open("xb")

    def write(self, file: BinaryIO, data: bytes) -> None:
        """Appends to a file; the bytes survive a crash after `sync`."""
        file.write(data)

    def sync(self, file: BinaryIO) -> None:
        """Makes what was written survive a crash."""
        file.flush()
        os.fdatasync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """Gives a file its name, in place of one that has it; survives a crash after `sync_folder`."""
        old.rename(new)

    def delete(self, path: Path) -> None:
        """Removes a file; one that is not there is fine."""
        path.unlink(missing_ok=True)

    def sync_folder(self, path: Path) -> None:
        """Makes new and renamed files of a folder survive a crash."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def commit(self, connection: Connection) -> None:
        """Commits a transaction of the ledger, durably."""
        connection.commit()

    def write_file(self, path: Path, data: bytes) -> None:
        """Writes a file that is there whole or not at all, and survives a crash; made of the steps above."""
        temporary = path.with_suffix(".tmp")
        self.delete(temporary)  # what a crash left
        with self.create(temporary) as file:
            self.write(file, data)
            self.sync(file)
        self.rename(temporary, path)
        self.sync_folder(path.parent)


REAL = Disk()
"""What everything writes to unless a test says otherwise."""
