"""Logs that a server cannot take connections, because all files that it may open are in use."""

import asyncio
import errno
import logging
import math
import time
from collections.abc import Callable
from typing import Any

_log = logging.getLogger(__name__)

_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

SAID = 60.0
"""Seconds in which the log says so at most once."""


class Full:
    """Handles the exceptions of an event loop: asyncio reports each connection that waits, with a traceback.

    Args:
        clock: in seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._said = clock, -math.inf

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Logs an exception that no caller can have."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _FULL:
            loop.default_exception_handler(context)
        elif (now := self._clock()) - self._said >= SAID:
            self._said = now
            _log.error("new connections wait, because the process can open nothing more: %s", error.strerror)
