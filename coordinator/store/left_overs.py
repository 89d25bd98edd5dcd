"""Files of a state folder that no task needs: those that a crash left are removed, others are set aside."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from coordinator.errors import LedgerError
from coordinator.store.disk import Disk
from coordinator.store.round_log import RoundLog
from coordinator.store.task_rows import TaskRow


def expect_no_later_rounds(log: RoundLog, rows: Iterable[TaskRow]) -> None:
    """Returns if the log holds no round that the ledger does not know yet.

    A round's first contribution is logged after the ledger has opened the round. So no crash leaves such a segment.

    Raises:
        LedgerError: it holds one.
    """
    rounds = {row.task_id: row.round for row in rows}
    for segment in log.segments():
        if segment.round > rounds.get(segment.task_id, -1):
            raise LedgerError(
                f"the ledger has lost transactions: it does not know round {segment.round} of task {segment.task_id}, "
                f"to which {segment.path} holds contributions; restore the ledger together with the state folder from "
                "a copy, or accept it as it is with `fedau2-coordinator doctor --accept-ledger`"
            )


@dataclass(frozen=True)
class LeftOvers:
    """Removes files of the state folder that no task needs.

    Attributes:
        aside: the folder of files that are set aside. Nothing reads it.
        disk: carries out the changes.
    """

    aside: Path
    disk: Disk

    def delete(self, paths: Iterable[Path]) -> None:
        """Removes files that a crash left."""
        for path in paths:
            self.disk.delete(path)

    def set_aside(self, paths: Iterable[Path]) -> None:
        """Moves files that no crash can have left, or whose ledger is in doubt. Nothing is written over."""
        for path in paths:
            place = self.aside / path.parent.name
            names = chain([path.name], (f"{path.name}.{number}" for number in count(2)))
            self.disk.make_folder(place)
            self.disk.rename(path, next(place / name for name in names if not (place / name).exists()))
            self.disk.sync_folder(place)
            self.disk.sync_folder(path.parent)
