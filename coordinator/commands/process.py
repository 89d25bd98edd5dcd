"""The process that serves: files for its owner alone, as many open ones as the system allows, and no end by SIGHUP."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fedau2 import programs

_log = logging.getLogger(__name__)

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


def on_hangup(answer: Callable[[], None]) -> None:
    """Answers SIGHUP on the running event loop. It would end the process at once, and reloads and terminals send it."""
    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, answer)


def end_within(seconds: float, reason: str) -> None:
    """Ends the process as a failure, if it has not ended by itself by then. No thread that hangs can prevent it.

    Args:
        seconds: from now on.
        reason: is logged then.
    """
    timer = threading.Timer(seconds, _end, (reason,))
    timer.daemon = True
    timer.start()


def _end(reason: str) -> None:
    _log.error("%s", reason)
    os._exit(programs.FAILED)
