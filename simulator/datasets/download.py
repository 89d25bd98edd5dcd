"""Fetches a data set from its home into the user's cache."""

import http.client
import os
import shutil
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from simulator.datasets.files import Checksums, is_official
from simulator.errors import DatasetDamagedError, DownloadError

TIMEOUT = 5.0
"""Seconds that the home may be silent."""


def cache() -> Path:
    """Where fetched data sets are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedau2"


def fetch(url: str, name: str, checksums: Checksums, target: Path) -> Path:
    """Downloads a zip file and unpacks what is checked into `target`, all or nothing.

    The folder appears in one step once every file is there and right: an interrupted or failed fetch, or another one at
    the same time, leaves nothing half done.

    Args:
        url: of the zip file.
        name: for the progress bar.
        checksums: the files to take out of it, wherever they lie in it, and what they must be.
        target: the folder to make.

    Raises:
        DownloadError: the home does not answer or breaks off, or the disk is full.
        DatasetDamagedError: what came is not the data set.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=target.parent) as folder:
            archive, unpacked = Path(folder) / "archive.zip", Path(folder) / "unpacked"
            _download(url, name, archive)
            _unpack(archive, unpacked, checksums)
            _move(unpacked, target)
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DownloadError(
            f"{name} could not be fetched from {url}: {reason}; fetch it by hand, unpack it, and name its folder with "
            "--data-dir"
        ) from error
    return target


def _download(url: str, name: str, archive: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, archive.open("wb") as out:
        total = int(response.headers["Content-Length"] or 0)
        received = 0
        for block in _shown(response, name, total):
            out.write(block)
            received += len(block)
    if received < total:
        raise DownloadError(f"{name}: {url} broke off after {received:,} of {total:,} bytes; try again")


def _shown(response: BinaryIO, name: str, total: int) -> Iterator[bytes]:
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(f"fetching {name}", total=total or None)
        while block := response.read(1 << 16):
            progress.advance(task, len(block))
            yield block


def _unpack(archive: Path, folder: Path, checksums: Checksums) -> None:
    folder.mkdir()
    try:
        with zipfile.ZipFile(archive) as packed:
            names = {Path(entry).name: entry for entry in packed.namelist()}
            for name, expected in checksums.items():
                if name not in names:
                    raise DatasetDamagedError(f"what was fetched holds no {name}")
                data = packed.read(names[name])
                if not is_official([data], expected):
                    raise DatasetDamagedError(f"the {name} that was fetched is not the official one")
                (folder / name).write_bytes(data)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # The last two: a compression that zipfile does not know, and encryption.
        raise DatasetDamagedError(f"what was fetched cannot be unpacked: {error}") from error


def _move(unpacked: Path, target: Path) -> None:
    try:
        unpacked.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        # Another fetch was faster; both checked the same contents.
        shutil.rmtree(unpacked)
