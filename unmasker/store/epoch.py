"""The epoch: what makes an unmasker that was restored from a copy begin with fresh keys.

A database that is put back from yesterday's copy has forgotten which sets it opened. So everything that depends on it
must fail: the keys of all open rounds are deleted, and rounds that are opened again get others. That is a new epoch. It
begins where the file `epoch` of the state folder

* is missing, because no backup holds it;
* names another epoch than the database;
* was made beside another lock file, so that the folder is a copy.

It also begins where the database is not the one that the file `witness` knows (see there). The file `epoch` has the key
that seals the private keys of rounds in the database, too. So no copy of the database opens anything by itself.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fedau2 import files
from unmasker.errors import BooksError
from unmasker.store.state_folder import StateFolder

ID, _KEY, _NONCE = 16, 32, 12
_SIZE = ID + 2 * _KEY


@dataclass(frozen=True)
class Epoch:
    """An epoch.

    Attributes:
        id: 16 random bytes.
        key: 32 bytes that seal the private keys of rounds.
    """

    id: bytes
    key: bytes

    @classmethod
    def read(cls, folder: StateFolder) -> Self | None:
        """Returns the epoch that a folder names. None: it names none, or is a copy of the folder that does."""
        try:
            data = folder.epoch.read_bytes()
        except FileNotFoundError:
            return None
        if len(data) != _SIZE or data[ID + _KEY :] != _digest(folder, data):
            return None
        return cls(data[:ID], data[ID : ID + _KEY])

    @classmethod
    def make(cls, folder: StateFolder) -> Self:
        """Begins a new epoch, durably.

        Raises:
            OSError: the disk is full or broken.
        """
        epoch = cls(secrets.token_bytes(ID), secrets.token_bytes(_KEY))
        body = epoch.id + epoch.key
        files.write(folder.epoch, body + _digest(folder, body), files.PRIVATE)
        return epoch

    def seal(self, secret: bytes, public: bytes) -> bytes:
        """Returns a secret that this epoch alone can read, beside the public bytes that it belongs to."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + AESGCM(self.key).encrypt(nonce, secret, self.id + public)

    def unseal(self, sealed: bytes, public: bytes) -> bytes:
        """Returns a secret that this epoch has sealed.

        Raises:
            BooksError: the database has another than was written to it.
        """
        try:
            return AESGCM(self.key).decrypt(sealed[:_NONCE], sealed[_NONCE:], self.id + public)
        except (InvalidTag, ValueError) as error:
            raise BooksError("a round's key in the database is damaged: close the round") from error


def _digest(folder: StateFolder, data: bytes) -> bytes:
    return hashlib.sha256(data[: ID + _KEY] + folder.instance()).digest()
