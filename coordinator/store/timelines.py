"""The history of the server that a ledger is in: a former primary of PostgreSQL that comes back must not lead again.

When a replica of PostgreSQL is promoted, its timeline gets a higher number. Each term notes that number in its folder,
or in the object store. A promotion therefore shows in what is shared, although the former primary does not know of it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from coordinator.errors import LedgerError
from coordinator.store.disk import Disk
from coordinator.store.lease import Lease
from coordinator.store.objects import Objects

NAME = "timeline"
"""The file of a term with the server's id and its timeline."""

_TEXT = re.compile(r"(\d+) (\d+)\n")

_OBJECTS = "timelines"
"""The prefix of empty objects whose names are servers' ids and their timelines. They are never removed."""


def expect_newest(shared: Path | Objects, lease: Lease) -> None:
    """Returns if no term was led on a later timeline of the server with the lease.

    Args:
        shared: the folder or the object store that all coordinators share.
        lease: is held by this coordinator.

    Raises:
        LedgerError: one was, so a replica of this server was promoted.
        ObjectsError: the store cannot be used.
    """
    server, timeline = lease.timeline()
    newest = max((known for name, known in _noted(shared) if name == server), default=0)
    if newest > timeline:
        raise LedgerError(
            f"the database is a former primary, on timeline {timeline}: a replica of it was promoted, and a "
            f"coordinator has led on timeline {newest}. Nothing was changed. Stop this server of PostgreSQL, and make "
            "it a replica of the promoted one (pg_rewind)"
        )


def _noted(shared: Path | Objects) -> Iterator[tuple[str, int]]:
    if isinstance(shared, Path):
        texts = [_read(file) for file in shared.glob(f"*/{NAME}")]
    else:
        texts = [f"{item.key.rpartition('/')[2].replace('.', ' ')}\n" for item in shared.list(_OBJECTS)]
    for text in texts:
        if known := _TEXT.fullmatch(text):
            yield known[1], int(known[2])


def note_object(objects: Objects, lease: Lease) -> None:
    """Notes the server and its timeline in the object store.

    Raises:
        ObjectsError: the store cannot be used.
    """
    server, timeline = lease.timeline()
    objects.put(f"{_OBJECTS}/{server}.{timeline}", b"")


def note(folder: Path, lease: Lease, disk: Disk) -> None:
    """Notes the server and its timeline in the folder of a new term."""
    server, timeline = lease.timeline()
    disk.write_file(folder / NAME, f"{server} {timeline}\n".encode())


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii", errors="replace")
    except FileNotFoundError:  # another leader's, which is being removed
        return ""
