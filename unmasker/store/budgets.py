"""The budget, and how much of it each holder has spent, over all tasks whose sums have noise.

A contribution under noise of multiplier z spends 1 / z^2. All contributions of a holder together are one Gaussian
mechanism, whose mu is the square root of what was spent.
"""

import math
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.unmasker_pb2 import Budget, LogEntry
from fedau2.wire.secure import privacy
from unmasker.errors import BudgetError
from unmasker.store.books import Page
from unmasker.store.database import in_parts
from unmasker.store.tables import budget, spending


def current(connection: Connection) -> Budget:
    """Returns the budget in force. Without a budget its epsilon is 0."""
    row = connection.execute(sa.select(budget)).first()
    return Budget() if row is None else Budget(epsilon=row.epsilon, delta=row.delta)


def change(page: Page, wanted: Budget) -> None:
    """Puts a budget into force, and logs it if it is another than before."""
    if current(page.connection) != wanted:
        page.log(LogEntry(budget=wanted))
        page.connection.execute(sa.delete(budget))
        page.connection.execute(sa.insert(budget).values(epsilon=wanted.epsilon, delta=wanted.delta))


def check(connection: Connection, policy: SecureSums) -> None:
    """Returns if there is no budget, or sums of a policy can keep it.

    Raises:
        BudgetError: they have no noise, or one contribution spends more than there is.
    """
    most, noise = current(connection), policy.noise_multiplier
    if not most.epsilon:
        return
    if not 0 < noise < math.inf:
        raise BudgetError("this unmasker keeps a budget, and sums without noise keep none: set noise_multiplier")
    if not _within(_square(policy), most):
        epsilon = privacy.epsilon(privacy.mu(1, noise), most.delta)
        raise BudgetError(
            f"one contribution with noise_multiplier {noise:g} has an epsilon of {epsilon:.3g}, and the budget is "
            f"{most.epsilon:g}: raise noise_multiplier"
        )


def verdicts(page: Page, policy: SecureSums, pseudonyms: Sequence[bytes]) -> list[bool]:
    """Judges whether holders can make one more contribution within the budget.

    Returns:
        In their order: False for one that has spent too much.
    """
    most = current(page.connection)
    if not most.epsilon:
        return [True] * len(pseudonyms)
    spent, square = _spent(page.connection, pseudonyms), _square(policy)
    sums = {name: spent.get(name, 0.0) + square for name in pseudonyms}
    good = {total: _within(total, most) for total in set(sums.values())}
    return [good[sums[name]] for name in pseudonyms]


def spend(page: Page, policy: SecureSums, pseudonyms: Sequence[bytes]) -> None:
    """Writes down that holders made one more contribution. Without noise there is nothing that could be added up."""
    if not policy.noise_multiplier:
        return
    spent, square = _spent(page.connection, pseudonyms), _square(policy)
    rows = [{"name": name} for name in pseudonyms if name in spent]
    if rows:
        chosen = spending.c.pseudonym == sa.bindparam("name")
        page.connection.execute(sa.update(spending).where(chosen).values(squares=spending.c.squares + square), rows)
    added = [{"pseudonym": name, "squares": square} for name in pseudonyms if name not in spent]
    if added:
        page.connection.execute(sa.insert(spending), added)


def _spent(connection: Connection, pseudonyms: Sequence[bytes]) -> dict[bytes, float]:
    rows = in_parts(connection, sa.select(spending), spending.c.pseudonym, pseudonyms)
    return {row.pseudonym: row.squares for row in rows}


def _square(policy: SecureSums) -> float:
    return 1 / policy.noise_multiplier / policy.noise_multiplier  # infinite, and no error, where noise is next to none


def _within(squares: float, most: Budget) -> bool:
    return math.isfinite(squares) and privacy.epsilon(math.sqrt(squares), most.delta) <= most.epsilon
