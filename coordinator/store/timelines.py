"""The history of the server that a ledger is in: a former primary of PostgreSQL that comes back must not lead again.

When a replica of PostgreSQL is promoted, its timeline gets a higher number. Each term notes that number in its folder.
The shared folder therefore knows of a promotion, although the former primary does not.
"""

import re
from pathlib import Path

from coordinator.errors import LedgerError
from coordinator.store.disk import Disk
from coordinator.store.lease import Lease

NAME = "timeline"
"""The file of a term with the server's id and its timeline."""

_TEXT = re.compile(r"(\d+) (\d+)\n")


def expect_newest(shared: Path, lease: Lease) -> None:
    """Returns if no term was led on a later timeline of the server with the lease.

    Args:
        shared: the folder that all coordinators share.
        lease: is held by this coordinator.

    Raises:
        LedgerError: one was, so a replica of this server was promoted.
    """
    server, timeline = lease.timeline()
    for file in shared.glob(f"*/{NAME}"):
        known = _TEXT.fullmatch(_read(file))
        if known is not None and known[1] == server and int(known[2]) > timeline:
            raise LedgerError(
                f"the database is a former primary, on timeline {timeline}: a replica of it was promoted, and a "
                f"coordinator has led on timeline {known[2]}. Nothing was changed. Stop this server of PostgreSQL, and "
                "make it a replica of the promoted one (pg_rewind)"
            )


def note(folder: Path, lease: Lease, disk: Disk) -> None:
    """Notes the server and its timeline in the folder of a new term."""
    server, timeline = lease.timeline()
    disk.write_file(folder / NAME, f"{server} {timeline}\n".encode())


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii", errors="replace")
    except FileNotFoundError:  # another leader's, which is being removed
        return ""
