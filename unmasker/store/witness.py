"""The witness: a file outside the database that says how far the database must have come.

It counts the transactions, and it holds the size and the hash of the public log. It is written after each transaction
and is durable before anybody is answered. So a database is that of before if it has no fewer transactions, and if its
log goes on from the witness's. It may go further: a process that dies between the two writes has answered nobody.
"""

import hashlib
import os
from dataclasses import dataclass
from typing import Self

from fedau2 import files
from unmasker.store.state_folder import StateFolder

_STEPS = files.Steps()


@dataclass(frozen=True)
class Witness:
    """The contents of the file.

    Attributes:
        commits: number of transactions so far.
        size: entries in the public log.
        hash: of the log with these entries, 32 bytes.
    """

    commits: int
    size: int
    hash: bytes

    @classmethod
    def read(cls, folder: StateFolder) -> Self | None:
        """Reads a folder's witness. None: it is missing or damaged."""
        try:
            data = folder.witness.read_bytes()
        except FileNotFoundError:
            return None
        try:
            commits, size, hash_, _ = data.decode("ascii").split()
            noted = cls(int(commits), int(size), bytes.fromhex(hash_))
        except ValueError:
            return None
        return noted if noted._bytes() == data else None

    def write(self, folder: StateFolder) -> None:
        """Writes it over the older one, durably. It has one length, and lies in one sector of a disk.

        Raises:
            OSError: the disk is full or broken.
        """
        descriptor = os.open(folder.witness, os.O_WRONLY | os.O_CREAT, files.PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            _STEPS.write(file, self._bytes())
            _STEPS.sync(file)

    def _bytes(self) -> bytes:
        text = f"{self.commits:020d} {self.size:020d} {self.hash.hex()}".encode()
        return text + b" " + hashlib.sha256(text).hexdigest().encode() + b"\n"
