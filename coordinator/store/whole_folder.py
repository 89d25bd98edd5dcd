"""Folders that are there whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.errors import BackupError, CoordinatorError
from coordinator.store.disk import REAL


@contextmanager
def made_whole(place: Path) -> Iterator[Path]:
    """Yields a new folder, which gets its name when the block has succeeded, and is removed if the block fails.

    Only a kill leaves it, under a hidden name beside `place`.

    Args:
        place: an absolute path, at which there is nothing or an empty folder.

    Raises:
        BackupError: something else is there, or the disk is full or broken. Nothing was left.
    """
    _expect_free(place)
    part = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
    try:
        REAL.make_folder(part)
        yield part
        for folder in (part, *(path for path in part.iterdir() if path.is_dir())):
            REAL.sync_folder(folder)
        _expect_free(place)
        part.rename(place)
        REAL.sync_folder(place.parent)
    except OSError as error:
        _remove(part)
        if isinstance(error, CoordinatorError):  # it is not of this disk
            raise
        reason = error.strerror or str(error)
        raise BackupError(f"{place} cannot be made: {reason}; nothing of it is left. Check its disk") from error
    except BaseException:
        _remove(part)
        raise


def _expect_free(place: Path) -> None:
    if os.path.lexists(place) and (place.is_symlink() or not place.is_dir() or any(place.iterdir())):
        raise BackupError(f"{place} is there already: name a folder that is empty or not there yet")


def _remove(part: Path) -> None:
    shutil.rmtree(part, ignore_errors=True)
