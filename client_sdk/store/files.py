"""Files of a state folder: written whole or not at all, for their owner's eyes only, also in a folder of others'."""

import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Puts a file in place of an older one; it is durable on return.

    Raises:
        OSError: the disk does not do its work; the older one stays.
    """
    part = path.with_suffix(".part")
    try:
        part.unlink(missing_ok=True)  # what a crash left may be for other eyes as well
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)  # on a full disk it would only take room
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
