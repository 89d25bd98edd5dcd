"""The inventory of a backup: its files with their hashes. It is hashed itself, and written last."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from coordinator.errors import BackupError
from coordinator.store.disk import REAL
from fedau2.wire import blobs

NAME = "backup.json"

_FORMAT = 1
"""The format of backups. Others are refused."""

_FILE = re.compile(
    r"id|operations\.log|ledger\.sqlite(-wal|-pages)?|(blobs|server-state)/[0-9a-f]{64}|log/[0-9a-z]+-\d+\.\d+",
    re.ASCII,
)
"""The names that files of a backup have. Nothing is written under any other."""


@dataclass(frozen=True)
class Inventory:
    """The files of a backup.

    Attributes:
        made: when the ledger was copied, in seconds since 1970.
        commits: transactions of the ledger so far.
        files: SHA-256 of each file in hexadecimal digits, by its path inside the backup.
    """

    made: float
    commits: int
    files: Mapping[str, str]

    def write(self, folder: Path) -> None:
        """Writes the inventory into the folder of its backup, durably.

        Raises:
            BackupError: a file has a name that no backup has.
            OSError: the disk is full or broken.
        """
        self._expect_names()
        content = json.dumps({"format": _FORMAT, **vars(self)}).encode() + b"\n"
        REAL.write_file(folder / NAME, content + _hash_line(content))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the inventory of a backup.

        Raises:
            BackupError: the folder is not a backup, or the inventory is damaged or of another version.
        """
        path = folder / NAME
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BackupError(f"{folder} is not a backup: {NAME} cannot be read ({error.strerror})") from error
        content, line_feed, digest = data.partition(b"\n")
        content += line_feed
        if digest != _hash_line(content):
            raise BackupError(f"{path} is damaged: use another backup")
        values = json.loads(content)
        if (version := values.pop("format", None)) != _FORMAT:
            raise BackupError(
                f"{folder} is a backup of format {version}, and this fedau2-coordinator reads format {_FORMAT}: "
                "restore it with the version that made it"
            )
        inventory = cls(**values)
        inventory._expect_names()
        return inventory

    def _expect_names(self) -> None:
        for name in self.files:
            if not _FILE.fullmatch(name):
                raise BackupError(f"no backup has a file {name!r}: use a backup that fedau2-coordinator made")


def _hash_line(content: bytes) -> bytes:
    return blobs.sha256(content).hex().encode() + b"\n"
