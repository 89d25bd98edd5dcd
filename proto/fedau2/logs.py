"""The log of a server: lines of text for people, or a JSON object a line for programs."""

import json
import logging
import math
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

FORMATS = ("text", "json")

MINUTE = 60.0
"""Seconds between two lines of the same kind, see `Seldom`."""


def use(form: str) -> None:
    """Has this process's log written in a format of `FORMATS` from now on. It begins as text."""
    if form == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())


class Seldom:
    """Counts what callers can make happen in any number, so that the log has a line of each kind once a minute at most.

    Args:
        clock: in seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def count(self, kind: str) -> int:
        """Counts once more.

        Args:
            kind: one of few, which no caller chooses freely.

        Returns:
            The number since the last line of the kind, this one included, if another line is due; 0 otherwise.
        """
        now = self._clock()
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if now - self._said.get(kind, -math.inf) < MINUTE:
            return 0
        self._said[kind] = now
        return self._counts.pop(kind)

    def say(self, log: logging.Logger, text: str, kind: str) -> None:
        """Counts once more, and writes a line of INFO if one is due: the text about the kind, and the number."""
        if number := self.count(kind):
            log.info(f"{text}%s", kind, f", {number} times since the last such line" if number > 1 else "")


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object: time, level, logger, message, and of an exception its type and places.

    The text of an exception, further lines of a message and what libraries attach to a record may quote what a device
    sent. They are left out.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line, in ASCII."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage().partition("\n")[0],
        }
        kind, _, trace = record.exc_info or (None, None, None)
        if kind is not None:
            frames = traceback.StackSummary.extract(traceback.walk_tb(trace), lookup_lines=False)
            line["exception"] = f"{kind.__module__}.{kind.__qualname__}"
            line["trace"] = [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(line)


def _short(path: str) -> str:
    return "/".join(Path(path).parts[-3:])
