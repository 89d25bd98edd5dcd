"""The one seam through which the coordinator changes its disk, each step under its name.

Everything that writes to the state folder or commits to the ledger does it through a `Disk`. So a test can count the
steps of a task's life, and fail, tear or end the process at every single one.
"""

from typing import BinaryIO

from sqlalchemy.engine import Connection

from fedau2 import files


class Disk(files.Steps):
    """The real disk: the steps of files and folders, and the commits of the ledger."""

    def commit(self, connection: Connection) -> None:
        """Commits a transaction of the ledger, durably."""
        connection.commit()

    def rewrite(self, file: BinaryIO, offset: int, data: bytes) -> None:
        """Writes over a few bytes of a file. They survive a kill at once, and a power failure after `sync`."""
        file.seek(offset)
        file.write(data)


REAL = Disk()
"""The disk that everything writes to unless a test gives another."""
