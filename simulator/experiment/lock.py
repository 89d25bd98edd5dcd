"""One run or audit at a time in a folder: two would take each other's progress for their own."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from simulator.errors import ConfigError, explain

NAME = "lock"
"""The file of a folder in use that is locked; left by a process that was killed, it locks nothing."""


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keeps a folder from other runs and audits while it is open.

    Args:
        folder: made if it is not there, and then removed again if nothing was put into it.

    Raises:
        ConfigError: another uses it, or it cannot be written.
    """
    made = not folder.exists()
    try:
        file = _locked(folder)
    except BlockingIOError as error:
        raise ConfigError(
            f"another run or audit is using {folder}: wait until it is done, or choose another folder with --out"
        ) from error
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {explain(error)}") from error
    try:
        yield
    finally:
        (folder / NAME).unlink(missing_ok=True)
        if made:
            with suppress(OSError):
                folder.rmdir()
        # A process that was forked meanwhile may hold the file open.
        fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)


def _locked(folder: Path) -> int:
    """A descriptor of the file, locked."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # who held it has removed it meanwhile
            file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file), (folder / NAME).stat()):
                    return file
            except OSError:
                os.close(file)
                raise
            os.close(file)
