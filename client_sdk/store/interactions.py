"""The interactions of a state folder. They are kept whether or not a catalogue lists their items."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from client_sdk.errors import StoreError
from client_sdk.store.database import Database


class Interactions:
    """The items that the user chose, with times.

    Args:
        database: the client's. Every method raises its errors.
        most: most interactions that are kept; with more, those with the oldest times are dropped.
    """

    def __init__(self, database: Database, most: int) -> None:
        self._database, self._most = database, most

    def add(self, interactions: Sequence[tuple[str, int]]) -> int:
        """Adds interactions, as items with their times in microseconds since 1970, UTC: all of them or none.

        Returns:
            The number of interactions that were dropped to keep no more than `most`.

        Raises:
            StoreError: the store is full of newer interactions, so that none of these would be kept; or the disk fails.
        """
        with self._database.transaction() as connection:
            (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM interactions").fetchone()
            connection.executemany("INSERT INTO interactions VALUES (?, ?)", interactions)
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

    def unlisted(self, rows: Mapping[str, int]) -> int:
        """Returns the number of interactions whose items have no row in a catalogue."""
        items = self._database.all("SELECT item, count(*) FROM interactions GROUP BY item")
        return sum(count for item, count in items if item not in rows)

    def listed(self, rows: Mapping[str, int]) -> NDArray[np.int64]:
        """Returns the items that have a row in a catalogue, as these rows, sorted and unique."""
        items = self._database.all("SELECT DISTINCT item FROM interactions")
        return np.array(sorted(rows[item] for (item,) in items if item in rows), np.int64)
