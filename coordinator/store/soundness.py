"""The check that a state folder is whole, before its ledger is upgraded. It changes nothing."""

from coordinator.store.ledger import Ledger
from coordinator.store.left_overs import expect_no_later_rounds
from coordinator.store.round_log import RoundLog
from coordinator.store.task_blobs import TaskBlobs


def expect_whole(ledger: Ledger, log: RoundLog, blobs: TaskBlobs) -> None:
    """Returns if every open task can go on, and every acknowledged contribution of its round can be read back.

    Args:
        ledger: of any version.
        log: the contributions of open rounds.
        blobs: of all tasks.

    Raises:
        LedgerError: the ledger is damaged, or has lost transactions.
        BlobLostError: a blob that an open task needs is missing or damaged.
        LogError: a contribution is missing or damaged.
    """
    rows = ledger.tasks()
    expect_no_later_rounds(log, rows)
    for row in rows:
        if row.open:
            blobs.check(row)
            ledger.open_round(row.task_id, row.round)
            for assignment in ledger.assignments(row.task_id, row.round):
                if assignment.location is not None:
                    log.read(assignment.location, assignment.sha256)
