"""The log of a server: lines of text for people, or a JSON object a line for programs."""

import json
import logging
import traceback
from datetime import UTC, datetime
from pathlib import Path

FORMATS = ("text", "json")


def use(form: str) -> None:
    """Has this process's log written in a format of `FORMATS` from now on. It begins as text."""
    if form == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())


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
