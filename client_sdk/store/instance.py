"""Notices that a state folder was copied, or restored from a backup, and gives the copy a secret key of its own.

Two devices with one key would draw the same noise and the same negatives. The coordinator could recognise their
contributions, and take the noise away. A folder is known by its lock, which is made once and never
written: by its number in the file system, the time at which it was made, and the name of the machine. A copy has
another number. A file system that gives files new numbers each time costs new keys, and nothing else.
"""

import logging
import platform
import secrets
from hashlib import blake2b
from pathlib import Path

from client_sdk.store.database import Database

_log = logging.getLogger(__name__)


def claim(database: Database, lock: Path) -> None:
    """Draws a new secret key if the folder is another than the one in which the database was opened last.

    Interactions, attributes, vectors and what is staged stay. Certificates of unmaskers go: the copy enrols anew.

    Args:
        database: the client's.
        lock: the file that locks the folder.

    Raises:
        StoreError: the database cannot be read or written.
        OSError: the lock cannot be read.
    """
    here = _marker(lock)
    row = database.one("SELECT instance FROM client")
    if row is None or row[0] == here:
        return
    with database.transaction() as connection:
        connection.execute("UPDATE client SET instance = ?", (here,))
        if row[0] is not None:  # an older SDK has noted no folder
            connection.execute("UPDATE client SET key = ?", (secrets.token_bytes(16),))
            connection.execute("DELETE FROM identities")  # two devices would speak as one, and neither would count
    if row[0] is not None:
        _log.warning("%s was copied or restored: it has a new secret key, and keeps everything else", lock.parent)


def _marker(lock: Path) -> str:
    status = lock.stat()
    parts = f"{status.st_ino}:{status.st_mtime_ns}:{platform.node()}"
    return blake2b(parts.encode(errors="surrogateescape"), digest_size=16).hexdigest()
