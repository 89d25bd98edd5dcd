"""Lets one run or audit at a time use a folder: two would mistake each other's progress for their own."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from fedau2 import files
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
    with ExitStack() as stack:
        try:
            _lock(folder, stack)
        except BlockingIOError as error:
            raise ConfigError(
                f"another run or audit is using {folder}: wait until it is done, or choose another folder with --out"
            ) from error
        except OSError as error:
            raise ConfigError(f"{folder} cannot be written: {explain(error)}") from error
        stack.callback(_remove, folder, made)  # before the file is unlocked
        yield


def _lock(folder: Path, stack: ExitStack) -> None:
    """Locks the file until the stack is closed."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        # The process that held the file may have removed it meanwhile.
        with suppress(FileNotFoundError), ExitStack() as attempt:
            file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
            attempt.callback(os.close, file)
            attempt.enter_context(files.locked(file))
            if os.path.samestat(os.fstat(file), (folder / NAME).stat()):
                stack.enter_context(attempt.pop_all())
                return


def _remove(folder: Path, made: bool) -> None:
    with suppress(PermissionError):  # Windows removes no open files
        (folder / NAME).unlink(missing_ok=True)
    if made:
        with suppress(OSError):
            folder.rmdir()
