"""Accepts a ledger as it is, after a copy was restored or because no whole copy exists (`doctor --accept-ledger`).

Devices may remember rounds that this ledger does not know. So no round may count a device twice, and none may send it
away for ever: open rounds begin anew, and from now on devices are given numbers of rounds that none was given before.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from coordinator.errors import LedgerError
from coordinator.store.blob_folder import BlobFolder
from coordinator.store.database import file_of
from coordinator.store.disk import REAL
from coordinator.store.ledger import Ledger
from coordinator.store.left_overs import LeftOvers
from coordinator.store.page_sums import PageSums
from coordinator.store.round_log import RoundLog
from coordinator.store.state_folder import StateFolder
from coordinator.store.task_blobs import TaskBlobs
from coordinator.store.task_rows import TaskRow


def open_unchecked(url: sa.URL) -> Ledger:
    """Opens a ledger whose pages need not fit their checksums, which are taken anew. An older one is upgraded.

    Raises:
        LedgerError: it has faults that the database finds itself, or cannot be used.
    """
    if (file := file_of(url)) is not None:
        PageSums(file, REAL).accept()
    ledger = Ledger(url)
    try:
        if damage := ledger.damage():
            raise LedgerError(f"the ledger cannot be accepted, because it is damaged: {damage[0]}; restore a copy")
        ledger.prepare(ledger.folder or "")
        for row in ledger.tasks():
            list(ledger.assignments(row.task_id, row.round))
    except BaseException:
        ledger.close()
        raise
    return ledger


def check(folder: StateFolder, ledger: Ledger) -> None:
    """Returns if the ledger of a folder can be accepted, judged by a copy of it.

    Args:
        folder: the state folder.
        ledger: the copy, opened by `open_unchecked`.

    Raises:
        LedgerError: it is not the folder's ledger.
        BlobLostError: a running task could not go on.
        OSError: a part of the folder cannot be read.
    """
    folder.check_id(ledger)
    blobs, rows = _blobs(folder), ledger.tasks()
    for row in rows:
        if row.open:
            blobs.check(row)
    _orphans(folder, blobs, rows)


def accept(folder: StateFolder, url: sa.URL) -> None:
    """Accepts the ledger of a locked folder, begins its open rounds anew, and sets aside what no task needs.

    Args:
        folder: the state folder.
        url: URL of the ledger itself; `check` has passed on a copy of it.

    Raises:
        LedgerError: the database failed.
        OSError: the disk is full or broken.
    """
    # Without its witness the ledger is refused until all of this is done.
    folder.witness(REAL).remove()
    with closing(open_unchecked(url)) as ledger:
        blobs = _blobs(folder)
        rows, now = ledger.tasks(), time.time()
        orphans = _orphans(folder, blobs, rows)
        ledger.begin_anew([(row, _skipped(row, blobs, now)) for row in rows if row.open], now)
        LeftOvers(folder.aside, REAL).set_aside(orphans)
        ledger.checkpoint()
        folder.witness(REAL).make(ledger.commits)


def _blobs(folder: StateFolder) -> TaskBlobs:
    return TaskBlobs(BlobFolder(folder.blobs), BlobFolder(folder.server_state))


def _orphans(folder: StateFolder, blobs: TaskBlobs, rows: Sequence[TaskRow]) -> list[Path]:
    return blobs.orphans(rows) + RoundLog(folder.log).orphans(set())


def _skipped(row: TaskRow, blobs: TaskBlobs, now: float) -> int:
    """Number to add to those of the task's rounds: the sum is above all that devices have been given.

    Before, the task had `rounds` rounds at most. The time, in microseconds, counts if the same copy is restored twice.
    """
    separation = max(1, blobs.manifest(row).plan.minimum_separation)
    return max(row.skipped + row.rounds - row.round + separation - 1, int(now * 1e6))
