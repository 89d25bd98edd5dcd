"""The items that an app has excluded from recommendations, until it includes them again."""

from collections.abc import Iterable

from client_sdk.errors import StoreError
from client_sdk.store.database import Database

MOST = 100_000
"""Most items that are excluded at once."""


class Exclusions:
    """Excluded items. They need not be in a catalogue.

    Args:
        database: the client's. Every method raises its errors.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, items: Iterable[str]) -> None:
        """Excludes items: all of them or none.

        Raises:
            StoreError: more than `MOST` items would be excluded; or the disk fails.
        """
        with self._database.transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO excluded VALUES (?)", ((item,) for item in items))
            (count,) = connection.execute("SELECT count(*) FROM excluded").fetchone()
            if count > MOST:
                raise StoreError(f"nothing was excluded, because {count:,} items would be, and {MOST:,} can be")

    def remove(self, items: Iterable[str]) -> None:
        """Includes items again, and leaves no trace of their exclusion in the files."""
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM excluded WHERE item = ?", ((item,) for item in items))
        self._database.scrub()

    def all(self) -> tuple[str, ...]:
        """Returns the excluded items, sorted."""
        return tuple(item for (item,) in self._database.all("SELECT item FROM excluded ORDER BY item"))
