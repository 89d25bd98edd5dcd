"""Accepts a ledger as it is, after a copy was restored or because no whole copy exists (`doctor --accept-ledger`).

Devices may remember rounds that this ledger does not know. So no round may count a device twice, and none may send it
away for ever: open rounds begin anew, and from now on devices are given numbers of rounds that none was given before.
"""

import time
from contextlib import closing

import sqlalchemy as sa

from coordinator.errors import LedgerError
from coordinator.store.blob_folder import BlobFolder
from coordinator.store.database import file_of
from coordinator.store.disk import REAL
from coordinator.store.ledger import Ledger
from coordinator.store.left_overs import LeftOvers
from coordinator.store.page_sums import PageSums
from coordinator.store.round_log import RoundLog
from coordinator.store.rows import TaskRow
from coordinator.store.state_folder import StateFolder
from coordinator.store.task_blobs import TaskBlobs


def open_unchecked(url: sa.URL) -> Ledger:
    """Opens a ledger whose pages need not fit their checksums, which are taken anew.

    Raises:
        LedgerError: it has faults that the database finds itself, or cannot be used.
    """
    if (file := file_of(url)) is not None:
        PageSums(file, REAL).accept()
    ledger = Ledger(url)
    try:
        if damage := ledger.damage():
            raise LedgerError(f"the ledger cannot be accepted, because it is damaged: {damage[0]}; restore a copy")
        for row in ledger.tasks():
            list(ledger.assignments(row.task_id, row.round))
    except BaseException:
        ledger.close()
        raise
    return ledger


def accept(folder: StateFolder, url: sa.URL) -> None:
    """Accepts the ledger of a locked folder, begins its open rounds anew, and sets aside what no task needs.

    Args:
        folder: the state folder.
        url: URL of the ledger itself; a copy of it has been opened by `open_unchecked`.

    Raises:
        LedgerError: it is not the folder's ledger.
        BlobLostError: the manifest of a task cannot be read.
    """
    with closing(open_unchecked(url)) as ledger:
        folder.check_id(ledger)
        blobs = TaskBlobs(BlobFolder(folder.blobs), BlobFolder(folder.server_state))
        rows, now = ledger.tasks(), time.time()
        orphans = blobs.orphans(rows) + RoundLog(folder.log).orphans(set())
        ledger.prepare(ledger.folder or "")
        ledger.begin_anew([(row, _skipped(row, blobs, now)) for row in rows if row.open], now)
        LeftOvers(folder.aside, REAL).set_aside(orphans)
        ledger.checkpoint()
        # Last, so that a ledger that has lost transactions is refused until all of this is done.
        folder.witness(REAL).make(ledger.commits)


def _skipped(row: TaskRow, blobs: TaskBlobs, now: float) -> int:
    """Number to add to those of the task's rounds: the sum is above all that devices have been given.

    Before, the task had `rounds` rounds at most. The time, in microseconds, counts if the same copy is restored twice.
    """
    separation = max(1, blobs.manifest(row).plan.minimum_separation)
    return max(row.skipped + row.rounds - row.round + separation - 1, int(now * 1e6))
