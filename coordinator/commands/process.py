"""The limits of the process that serves: files for its owner alone, and as many open ones as the system allows."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_OTHERS = 0o077
"""Permissions of everybody but the owner."""


@contextmanager
def private_files() -> Iterator[None]:
    """While the block runs, files and sockets that any library makes are for their owner alone."""
    before = os.umask(_OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def raise_file_limit() -> int:
    """Allows as many open files as this process may allow itself, and returns how many."""
    import resource  # here, because only Unix has it

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        hard = soft  # macOS allows fewer than it says
    return hard
