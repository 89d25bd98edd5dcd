"""The device's keys and certificates, one of each for an unmasker, and how often they were used, and under which noise.

The keys are drawn from the operating system, and not from the client's key: who has stolen that must not be able to
speak for the device.
"""

import secrets
from sqlite3 import Connection
from typing import Any

from client_sdk.store.database import Database
from client_sdk.store.departures import moment
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity.certificate import Certificate


def participate(connection: Connection, task_id: str, noise: float) -> None:
    """Counts a masked contribution that is about to be sent, within a transaction.

    Args:
        connection: of the transaction.
        task_id: the task.
        noise: noise multiplier of the task's sums.
    """
    for table, column, value in (("participations", "task_id", task_id), ("masked_contributions", "noise", noise)):
        counted = f"ON CONFLICT ({column}) DO UPDATE SET count = count + 1"
        connection.execute(f"INSERT INTO {table} VALUES (?, 1) {counted}", (value,))


def take_back(connection: Connection) -> None:
    """Takes the count of the staged contribution back, which was never sent, within a transaction."""
    for table, column in (("participations", "task_id"), ("masked_contributions", "noise")):
        staged = f"SELECT {column} FROM staged WHERE masked"
        connection.execute(f"UPDATE {table} SET count = count - 1 WHERE {column} IN ({staged})")


class Identities:
    """The keys and certificates in one database, whose errors every method raises.

    Args:
        database: the client's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def key(self, unmasker: bytes) -> bytes:
        """Returns the 32 secret bytes of the Ed25519 key for an unmasker, which are made and durable by then."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO identities (unmasker, key) VALUES (?, ?)", (unmasker, secrets.token_bytes(32))
            )
            (key,) = connection.execute("SELECT key FROM identities WHERE unmasker = ?", (unmasker,)).fetchone()
        return bytes(key)

    def certificate(self, unmasker: bytes) -> bytes | None:
        """Returns the certificate that an unmasker has made; None: it has made none yet."""
        row = self._database.one("SELECT certificate FROM identities WHERE unmasker = ?", (unmasker,))
        return None if row is None else self._checked(row[0])

    def keep(self, unmasker: bytes, certificate: bytes) -> None:
        """Keeps a certificate in place of an older one of the same key."""
        self._database.write("UPDATE identities SET certificate = ? WHERE unmasker = ?", (certificate, unmasker))

    def participations(self, task_id: str) -> int:
        """Returns the number of masked contributions to a task that may be in sums: all but those never sent."""
        row = self._database.one("SELECT count FROM participations WHERE task_id = ?", (task_id,))
        return 0 if row is None else int(row[0])

    def masked(self) -> dict[float, int]:
        """Returns the number of masked contributions that may be in sums, by the noise multiplier of the sums.

        All tasks count, also after the user's data was deleted. Under 0 are those without noise, and those of an older
        SDK.
        """
        return dict(self._database.all("SELECT noise, count FROM masked_contributions WHERE count > 0"))

    def count(self) -> int:
        """Returns the number of unmaskers for which there is a key, which may have reached them."""
        row = self._database.one("SELECT count(*) FROM identities")
        return int(row[0]) if row else 0

    def export(self) -> list[dict[str, Any]]:
        """Returns what the certificates say, as plain values."""
        rows = self._database.all("SELECT certificate FROM identities WHERE certificate IS NOT NULL ORDER BY unmasker")
        certificates = [Certificate.read(data)[0] for (data,) in rows if self._checked(data)]
        return [
            {"pseudonym": certificate.pseudonym.hex(), "expires": moment(certificate.expires * 1_000_000).isoformat()}
            for certificate in certificates
        ]

    def _checked(self, certificate: bytes | None) -> bytes | None:
        try:
            if certificate is not None:
                Certificate.read(certificate)
        except IdentityError as error:
            raise self._database.damaged(error) from error
        return certificate
