"""The least sequence numbers of bundles that a device still accepts. They hold nothing about its user, and stay."""

from client_sdk.store.database import Database


class LeastSequences:
    """Least sequence numbers by population and publisher.

    Args:
        database: the client's. Every method raises its errors.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def least(self, population: str) -> dict[bytes, int]:
        """Returns the least sequence number by publisher (key of 32 bytes)."""
        rows = self._database.all("SELECT publisher, least FROM releases WHERE population = ?", (population,))
        return {bytes(publisher): least for publisher, least in rows}

    def raise_to(self, population: str, publisher: bytes, sequence: int) -> None:
        """Raises a least sequence number. A smaller one changes nothing."""
        if self.least(population).get(publisher, 0) < sequence:
            self._database.write(
                "INSERT INTO releases VALUES (?, ?, ?) "
                "ON CONFLICT (population, publisher) DO UPDATE SET least = max(least, excluded.least)",
                (population, publisher, sequence),
            )
