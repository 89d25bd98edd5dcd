"""The state folder: the lasting keys, the epoch, and the database unless that is elsewhere."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from fedau2 import files
from unmasker.errors import FolderError, FolderLockedError
from unmasker.store.keys import SIZE, Keys


@dataclass(frozen=True)
class StateFolder:
    """The parts of a state folder.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def public_key(self) -> Path:
        """The identity's public key in PEM, for apps."""
        return self.path / "identity.pub"

    @property
    def epoch(self) -> Path:
        """The mark that no backup may hold, see `epoch`."""
        return self.path / "epoch"

    @property
    def witness(self) -> Path:
        """The file that says how far the database must have come, see `witness`."""
        return self.path / "witness"

    @property
    def lock(self) -> Path:
        """The file that is locked by the unmasker that serves, and by which a copy of the folder is known."""
        return self.path / "lock"

    def database(self, url: str | None) -> sa.URL | str:
        """Returns the URL of the database: the given one, or SQLite in the folder."""
        return url or sa.URL.create("sqlite", database=str(self.path / "unmasker.sqlite"))

    def make(self) -> Keys:
        """Makes the folder with new keys. They survive a crash.

        Raises:
            FolderError: it is there already and not empty, or cannot be written.
        """
        try:
            if self.path.exists() and any(self.path.iterdir()):
                raise FolderError(f"{self.path} is not empty: name a new folder; no keys were made")
            steps, keys = files.Steps(), Keys.make()
            steps.make_folder(self.path)
            steps.write_file(self._secret("authority.pem"), _pem(keys.authority))
            steps.write_file(self._secret("subjects.key"), keys.subjects)
            public = keys.identity.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            steps.write_file(self.public_key, public)
            steps.write_file(self.lock, secrets.token_bytes(16))
            steps.write_file(self._secret("identity.pem"), _pem(keys.identity))  # last: the folder is whole with it
        except OSError as error:
            raise FolderError(f"{self.path} cannot be made: {error}") from error
        return keys

    def keys(self) -> Keys:
        """Reads the lasting keys.

        Raises:
            FolderError: one is missing or damaged.
        """
        self._expect_made()
        subjects = self._read("subjects.key")
        if len(subjects) != SIZE:
            raise FolderError(f"{self._secret('subjects.key')} is damaged: restore it from a copy")
        return Keys(self._private("identity.pem"), self._private("authority.pem"), subjects)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other unmaskers from serving from this folder meanwhile.

        Raises:
            FolderLockedError: another does.
            FolderError: the folder cannot be used.
        """
        self._expect_made()
        try:
            file = self.lock.open("rb")
        except OSError as error:
            raise self._without_lock(error) from error
        with file:
            try:
                with files.locked(file.fileno()):
                    yield
            except BlockingIOError as error:
                raise FolderLockedError(f"another unmasker serves from {self.path}: end it first") from error

    def instance(self) -> bytes:
        """Returns bytes by which this folder differs from every copy of it: those of its lock in the file system.

        Raises:
            FolderError: the lock is missing.
        """
        try:
            status = self.lock.stat()
        except OSError as error:
            raise self._without_lock(error) from error
        return f"{status.st_ino}:{status.st_mtime_ns}".encode()

    def _expect_made(self) -> None:
        if not self._secret("identity.pem").is_file():
            raise FolderError(f"{self.path} is not an unmasker's folder: make one with fedau2-unmasker init")

    def _without_lock(self, error: OSError) -> FolderError:
        return FolderError(f"{self.lock} cannot be read: {error.strerror}; make it: touch {self.lock}")

    def _secret(self, name: str) -> Path:
        return self.path / name

    def _read(self, name: str) -> bytes:
        path = self._secret(name)
        try:
            return path.read_bytes()
        except OSError as error:
            raise FolderError(f"{path} cannot be read: {error.strerror}; restore it from a copy") from error

    def _private(self, name: str) -> Ed25519PrivateKey:
        try:
            key = load_pem_private_key(self._read(name), None)
        except (TypeError, ValueError) as error:
            raise FolderError(f"{self._secret(name)} is damaged: restore it from a copy") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise FolderError(f"{self._secret(name)} is not an Ed25519 key: restore it from a copy")
        return key


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
