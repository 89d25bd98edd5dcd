"""The interactions of a state folder. They are kept whether or not a catalogue lists their items."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from client_sdk.errors import StoreError
from client_sdk.interactions import Kept
from client_sdk.protocol.values import Positives
from client_sdk.store.database import Database
from client_sdk.weights import Weights

_LIKED = (
    "FROM interactions LEFT JOIN (SELECT item, max(time) AS dislike FROM interactions WHERE kind = 'dislike' "
    "GROUP BY item) USING (item) WHERE dislike IS NULL OR time > dislike"
)
"""The interactions without dislikes, and without those that a later dislike of the item revokes."""


class Interactions:
    """The items that the user chose, with times.

    Args:
        database: the client's. Every method raises its errors.
        most: most interactions that are kept; with more, those with the oldest times are dropped.
    """

    def __init__(self, database: Database, most: int) -> None:
        self._database, self._most = database, most

    def add(self, interactions: Sequence[Kept]) -> int:
        """Adds interactions: all of them or none.

        Returns:
            The number of interactions that were dropped to keep no more than `most`.

        Raises:
            StoreError: the store is full of newer interactions, so that none of these would be kept; or the disk fails.
        """
        with self._database.transaction() as connection:
            (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM interactions").fetchone()
            connection.executemany("INSERT INTO interactions VALUES (?, ?, ?, ?, ?)", interactions)
            connection.execute("UPDATE client SET recorded = recorded + ?", (len(interactions),))
            (count,) = connection.execute("SELECT count(*) FROM interactions").fetchone()
            if count <= self._most:
                return 0
            oldest = "SELECT rowid FROM interactions ORDER BY time, rowid LIMIT ?"
            connection.execute(f"DELETE FROM interactions WHERE rowid IN ({oldest})", (count - self._most,))
            kept = connection.execute("SELECT 1 FROM interactions WHERE rowid > ?", (last,)).fetchone()
            if interactions and not kept:
                raise StoreError(
                    f"nothing was recorded, because the store is full of newer interactions ({self._most}): check the "
                    "device's clock, or open the client with a larger max_interactions"
                )
            return int(count) - self._most

    def count(self) -> int:
        """Returns the number of interactions that are kept."""
        return int(self._database.one("SELECT count(*) FROM interactions")[0])

    def ever(self) -> int:
        """Returns the number of interactions that were ever recorded, also those that are not kept any more."""
        return int(self._database.one("SELECT recorded FROM client")[0])

    def unlisted(self, rows: Mapping[str, int]) -> int:
        """Returns the number of interactions whose items have no row in a catalogue."""
        items = self._database.all("SELECT item, count(*) FROM interactions GROUP BY item")
        return sum(count for item, count in items if item not in rows)

    def listed(self, rows: Mapping[str, int]) -> NDArray[np.int64]:
        """Returns the items that have a row in a catalogue, as these rows, sorted and unique."""
        items = self._database.all("SELECT DISTINCT item FROM interactions")
        return np.array(sorted(rows[item] for (item,) in items if item in rows), np.int64)

    def positives(self, rows: Mapping[str, int], weights: Weights | None) -> Positives:
        """Returns the items that training may take as positives and that have a row in a catalogue.

        Args:
            rows: of the catalogue, by item.
            weights: those of the plan; None: every interaction but a dislike counts 1.
        """
        if weights is None:
            items = self._database.all(f"SELECT DISTINCT item {_LIKED}")
            return Positives(np.array(sorted(rows[item] for (item,) in items if item in rows), np.int64))
        best: dict[int, float] = {}
        for fields in self._database.all(f"SELECT item, time, kind, weight, value {_LIKED}"):
            kept = Kept(*fields)
            if (row := rows.get(kept.item)) is not None:
                best[row] = max(best.get(row, 0.0), weights.of_interaction(kept))
        return Positives.of(best)
