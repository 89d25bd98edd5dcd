"""Downloads a data set from its home page into the user's cache."""

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
"""Seconds without an answer after which a download fails."""


def cache() -> Path:
    """Names the folder for downloaded data sets."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedau2"


def fetch(url: str, name: str, checksums: Checksums, target: Path) -> Path:
    """Downloads a zip file, checks its files and unpacks them into `target`, all or nothing.

    The folder appears in one step once all files are complete and correct. So an interrupted or failed download leaves
    no partial folder, and neither do two downloads at the same time.

    Args:
        url: the address of the zip file.
        name: the data set's name, for the progress bar.
        checksums: the checksum of each file to unpack, by file name; the file may lie in any folder of the archive.
        target: the folder to create.

    Raises:
        DownloadError: the server does not answer or breaks off, or the disk is full.
        DatasetDamagedError: the archive does not hold the data set.
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
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is the open answer too
        raise DownloadError(
            f"{name} could not be downloaded from {url}: {reason}; download and unpack it by hand, and give its folder "
            "with --data-dir"
        ) from error
    return target


def _download(url: str, name: str, archive: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, archive.open("wb") as out:
        total = int(response.headers["Content-Length"] or 0)
        received = 0
        for block in _with_progress(response, name, total):
            out.write(block)
            received += len(block)
    if received < total:
        raise DownloadError(f"{name}: {url} broke off after {received:,} of {total:,} bytes; try again")


def _with_progress(response: BinaryIO, name: str, total: int) -> Iterator[bytes]:
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(f"downloading {name}", total=total or None)
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
                    raise DatasetDamagedError(f"the downloaded archive does not hold {name}")
                data = packed.read(names[name])
                if not is_official([data], expected):
                    raise DatasetDamagedError(f"the downloaded {name} is not the official file")
                (folder / name).write_bytes(data)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # NotImplementedError: a compression that zipfile does not know. RuntimeError: an encrypted archive.
        raise DatasetDamagedError(f"the downloaded archive cannot be unpacked: {error}") from error


def _move(unpacked: Path, target: Path) -> None:
    try:
        unpacked.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        # Another download was faster; both checked the same contents.
        shutil.rmtree(unpacked)
