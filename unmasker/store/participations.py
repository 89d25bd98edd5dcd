"""In how many opened sums of a task a holder's contributions are, and in which round the last of them."""

from collections.abc import Sequence

import sqlalchemy as sa

from unmasker.store.books import Page
from unmasker.store.database import in_parts
from unmasker.store.tables import participation


def verdicts(
    page: Page, task_id: bytes, number: int, pseudonyms: Sequence[bytes], most: int, separation: int
) -> list[bool]:
    """Judges whether holders may take part in a round.

    Args:
        page: the transaction.
        task_id: of the task.
        number: of the round.
        pseudonyms: of the holders.
        most: most participations of a holder in the task; 0: any number.
        separation: fewest rounds from one of them to the next.

    Returns:
        In their order: False for one that took part often enough, or not long enough ago.
    """
    query = sa.select(participation).where(participation.c.task_id == task_id)
    rows = in_parts(page.connection, query, participation.c.pseudonym, pseudonyms)
    barred = {row.pseudonym for row in rows if (most and row.number >= most) or number - row.round < max(1, separation)}
    return [pseudonym not in barred for pseudonym in pseudonyms]


def count(page: Page, task_id: bytes, number: int, pseudonyms: Sequence[bytes]) -> None:
    """Writes down that holders took part in a round of a task."""
    query = sa.select(participation.c.pseudonym).where(participation.c.task_id == task_id)
    known = {row.pseudonym for row in in_parts(page.connection, query, participation.c.pseudonym, pseudonyms)}
    rows = [{"name": pseudonym} for pseudonym in pseudonyms if pseudonym in known]
    chosen = (participation.c.task_id == task_id, participation.c.pseudonym == sa.bindparam("name"))
    if rows:
        raised = {"number": participation.c.number + 1, "round": number}
        page.connection.execute(sa.update(participation).where(*chosen).values(raised), rows)
    added = [
        {"pseudonym": pseudonym, "task_id": task_id, "number": 1, "round": number}
        for pseudonym in pseudonyms
        if pseudonym not in known
    ]
    if added:
        page.connection.execute(sa.insert(participation), added)
