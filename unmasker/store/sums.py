"""The sums that were opened: one for a task and round, ever."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fedau2.v1.unmasker_pb2 import LogEntry, SumOpened
from unmasker.errors import DifferentSumError
from unmasker.store.books import Page
from unmasker.store.tables import opened_sum


@dataclass(frozen=True)
class Sum:
    """A sum that was opened. It holds nothing that opens a contribution.

    Attributes:
        task_id: 16 bytes.
        round: number of the round.
        context: hash of the round's context.
        set: hash of the set of members.
        head: SHA-256 of the masked head.
        withheld: as in `OpenedSum`.
        answer: SHA-256 of the packed sum of the masks. It fixes their seeds, which the set does not.
        members: their number.
    """

    task_id: bytes
    round: int
    context: bytes
    set: bytes
    head: bytes
    withheld: bytes
    answer: bytes
    members: int


def find(connection: Connection, task_id: bytes, number: int) -> Sum | None:
    """Returns the sum that was opened for a round, in whichever epoch."""
    columns = [opened_sum.c[name] for name in Sum.__dataclass_fields__]
    chosen = (opened_sum.c.task_id == task_id, opened_sum.c.round == number)
    row = connection.execute(sa.select(*columns).where(*chosen)).first()
    return None if row is None else Sum(*row)


def expect(before: Sum, set_: bytes, head: bytes, answer: bytes | None = None) -> None:
    """Returns if the sum that was opened for a round is one that is asked for.

    Args:
        before: the sum that was opened.
        set_: hash of the set of members that is asked for.
        head: SHA-256 of the masked head.
        answer: SHA-256 of what would be answered; None: it is not known yet.

    Raises:
        DifferentSumError: it is another.
    """
    if (before.set, before.head) != (set_, head) or answer not in (None, before.answer):
        raise DifferentSumError("another sum was opened for this round, and no round has two: go on to the next round")


def record(page: Page, opened: Sum, rows: int) -> None:
    """Writes down and logs that a sum is opened.

    Args:
        page: the transaction.
        opened: the first sum of its round.
        rows: catalogue rows that stay closed.
    """
    logged = SumOpened(
        task_id=opened.task_id, round=opened.round, set=opened.set, members=opened.members, withheld=rows
    )
    entry = page.log(LogEntry(sum=logged))
    page.connection.execute(sa.insert(opened_sum).values(**vars(opened), opened=page.now, entry=entry))


def count(connection: Connection) -> int:
    """Returns the number of sums that were opened."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(opened_sum)).scalar_one())
