"""The sums that were asked for with members who are all good: one for a task and round, ever."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fedau2.v1.unmasker_pb2 import LogEntry, SumOpened
from unmasker.errors import DifferentSumError
from unmasker.store.books import Page
from unmasker.store.tables import opened_sum

NOT_YET = b""
"""The answer of a sum that was claimed and not opened."""

_ANOTHER = "another sum was opened for this round, and no round has two: go on to the next round"


@dataclass(frozen=True)
class Sum:
    """A sum that was asked for. It holds nothing that opens a contribution.

    Attributes:
        task_id: 16 bytes.
        round: number of the round.
        context: hash of the round's context.
        set: hash of the set of members.
        head: SHA-256 of the masked head.
        withheld: as in `OpenedSum`.
        answer: SHA-256 of the packed sum of the masks, which fixes their seeds, as the set does not; or `NOT_YET`.
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
    """Returns the sum of a round, in whichever epoch it was claimed."""
    columns = [opened_sum.c[name] for name in Sum.__dataclass_fields__]
    chosen = (opened_sum.c.task_id == task_id, opened_sum.c.round == number)
    row = connection.execute(sa.select(*columns).where(*chosen)).first()
    return None if row is None else Sum(*row)


def expect(before: Sum, set_: bytes, head: bytes) -> None:
    """Returns if the sum of a round is one that is asked for.

    Args:
        before: the sum of the round.
        set_: hash of the set of members that is asked for.
        head: SHA-256 of the masked head.

    Raises:
        DifferentSumError: it is another.
    """
    if (before.set, before.head) != (set_, head):
        raise DifferentSumError(_ANOTHER)


def claim(page: Page, claimed: Sum) -> None:
    """Writes down and logs that a sum is the only one of its round."""
    logged = SumOpened(task_id=claimed.task_id, round=claimed.round, set=claimed.set, members=claimed.members)
    entry = page.log(LogEntry(sum=logged))
    page.connection.execute(sa.insert(opened_sum).values(**vars(claimed), opened=page.now, entry=entry))


def settle(page: Page, opened: Sum) -> None:
    """Writes down the answer to a sum that was claimed, or returns if it is the one that was given.

    Raises:
        DifferentSumError: the round has another sum, or another answer was given.
    """
    before = find(page.connection, opened.task_id, opened.round)
    if before is None or before.answer not in (NOT_YET, opened.answer):
        raise DifferentSumError(_ANOTHER)
    expect(before, opened.set, opened.head)
    chosen = (opened_sum.c.task_id == opened.task_id, opened_sum.c.round == opened.round)
    values = {"withheld": opened.withheld, "answer": opened.answer}
    page.connection.execute(sa.update(opened_sum).where(*chosen).values(**values))


def count(connection: Connection) -> int:
    """Returns the number of sums that were opened."""
    query = sa.select(sa.func.count()).where(opened_sum.c.answer != NOT_YET)
    return int(connection.execute(query).scalar_one())
