"""`fedau2-coordinator backup` and `restore`: copies of a state folder, and state folders of copies."""

import argparse
import sys
from contextlib import closing
from datetime import UTC, datetime

from coordinator.commands import acceptance, process
from coordinator.errors import BackupError
from coordinator.store import backups, operations_log
from coordinator.store.blob_folder import BlobFolder
from coordinator.store.database import sqlite
from coordinator.store.disk import REAL
from coordinator.store.ledger import Ledger
from coordinator.store.round_log import RoundLog
from coordinator.store.soundness import expect_whole
from coordinator.store.state_folder import StateFolder
from coordinator.store.task_blobs import TaskBlobs
from coordinator.store.whole_folder import made_whole

_POSTGRESQL = """{folder} has no ledger in it, so it is not whole by itself. If the ledger is in PostgreSQL, do this:
  1. stop the coordinator
  2. pg_dump --format=custom --file=ledger.dump URL
  3. copy the whole folder
  4. start the coordinator
To restore: pg_restore into an empty database, put the folder in its place, run
`fedau2-coordinator doctor --state DIR --database URL --accept-ledger`, and start the coordinator."""


def backup(args: argparse.Namespace) -> int:
    """Runs `backup`."""
    folder, place = StateFolder(args.state.absolute()), args.to.absolute()
    if not folder.ledger.exists():
        raise BackupError(_POSTGRESQL.format(folder=folder.path))
    if place.is_relative_to(folder.path):
        raise BackupError(f"{place} is in the state folder: name a place outside of it, best on another disk")
    with process.private_files():
        process.raise_file_limit()  # all files of the backup are open at a time
        with made_whole(place) as part:
            taken = backups.take(folder, part)
    for name in taken.left_out:
        print(f"left out, because it is missing or damaged and no round needs it: {name}", file=sys.stderr)
    print(f"backed up {taken.tasks} tasks to {place}")
    return 0


def restore(args: argparse.Namespace) -> int:
    """Runs `restore`."""
    source, place = args.source.absolute(), args.state.absolute()
    with process.private_files(), made_whole(place) as part:
        inventory = backups.copy_back(source, part)
        given_up = _accept(StateFolder(part))
    made = datetime.fromtimestamp(inventory.made, UTC).isoformat(timespec="seconds")
    print(f"restored the backup of {made} to {place}; the coordinator from which it is must not be started any more")
    print(f"open rounds begin anew, and {given_up} contributions to them are given up")
    return 0


def _accept(folder: StateFolder) -> int:
    """Checks a restored folder as a start would, and accepts its ledger.

    Returns:
        The number of contributions to open rounds. Their devices may take part again, so they are given up.
    """
    if folder.operations.exists():
        for _ in operations_log.read(folder.operations):
            pass
    log, url = RoundLog(folder.log), sqlite(folder.ledger)
    blobs = TaskBlobs(BlobFolder(folder.blobs), BlobFolder(folder.server_state))
    with closing(Ledger(url)) as ledger:
        folder.check_id(ledger)
        expect_whole(ledger, log, blobs)
        rounds = [ledger.assignments(row.task_id, row.round) for row in ledger.tasks() if row.open]
        given_up = sum(row.location is not None for assignments in rounds for row in assignments)
    for segment in log.segments():
        REAL.delete(segment.path)
    acceptance.accept(folder, url)
    return given_up
