"""The one seam through which the coordinator changes its disk, each step under its name.

Everything that writes to the state folder or commits to the ledger does it through a `Disk`. So a test can count the
steps of a task's life, and fail, tear or end the process at every single one.
"""

from sqlalchemy.engine import Connection

from fedau2 import files


class Disk(files.Steps):
    """The real disk: the steps of files and folders, and the commits of the ledger."""

    def commit(self, connection: Connection) -> None:
        """Commits a transaction of the ledger, durably."""
        connection.commit()


REAL = Disk()
"""The disk that everything writes to unless a test gives another."""
