"""Checks of an app's arguments. A check returns the argument, or raises an error that says what would be right.

Values of NumPy and pandas are taken where they are texts, whole numbers or times, and are returned as Python's own.
"""

import math
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from numbers import Integral, Real
from pathlib import Path

from client_sdk.errors import UsageError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 1024
"""Most bytes of an item's id."""


def text(argument: str, value: object) -> str:
    """Returns a string that is not empty and can be written as UTF-8.

    Raises:
        UsageError: it is not such a string.
    """
    if not isinstance(value, str) or not value:
        raise UsageError(f"{argument} must be a string that is not empty, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{argument} {value!r} cannot be written as UTF-8") from error
    return str.__str__(value)  # not of a subclass, such as NumPy's


def item(value: object) -> str:
    """Returns an item's id: a text as above, in one line, of at most 1,024 bytes.

    Raises:
        UsageError: it is not such a text, so that no catalogue could list it.
    """
    name = text("item", value)
    if "\n" in name:
        raise UsageError(f"item {name[:99]!r} has a line break, and a catalogue has an item a line")
    if (size := len(name.encode())) > _LONGEST:
        raise UsageError(f"item {name[:99]!r} ... has {size} bytes, and an item's id has at most {_LONGEST}")
    return name


def folder(argument: str, value: object) -> Path:
    """Returns the path of a folder, which need not exist.

    Raises:
        UsageError: it is not a path.
    """
    try:
        path = os.fsencode(value).decode("utf-8", "surrogateescape")  # type: ignore[arg-type] # fsencode checks the type
    except (TypeError, UnicodeEncodeError) as error:
        raise UsageError(f"{argument} must be the path of a folder, not {value!r}") from error
    if not path or "\0" in path:
        raise UsageError(f"{argument} must be the path of a folder, not {value!r}")
    return Path(path)


def microseconds(time: object) -> int:
    """Returns a time with a time zone, in microseconds since 1970, UTC.

    Raises:
        UsageError: it is not such a time.
    """
    try:
        if isinstance(time, datetime) and time.utcoffset() is not None:
            return (time.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
    except (OverflowError, ValueError):  # beyond the years of a datetime, or not a time at all
        pass
    raise UsageError(f"time must be a datetime with a time zone, for example datetime.now(UTC), not {time!r}")


def function(argument: str, value: object) -> None:
    """Returns if the value can be called.

    Raises:
        UsageError: it cannot.
    """
    if not callable(value):
        raise UsageError(f"{argument} must be a function, not {value!r}")


def real(argument: str, value: object) -> float:
    """Returns a finite number, which may be of NumPy.

    Raises:
        UsageError: it is not such a number.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # a whole number beyond the floats
            if math.isfinite(number := float(value)):
                return number
    raise UsageError(f"{argument} must be a finite number, not {value!r}")


def seconds(argument: str, value: object) -> float:
    """Returns a finite number of seconds above 0.

    Raises:
        UsageError: it is not such a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UsageError(f"{argument} must be a number of seconds above 0, not {value!r}")
    return float(value)


def duration(argument: str, value: object) -> float:
    """Returns a time in seconds; None gives infinity.

    Raises:
        UsageError: it is not a timedelta above 0.
    """
    if value is None:
        return math.inf
    if not isinstance(value, timedelta) or value <= timedelta(0):
        raise UsageError(f"{argument} must be a timedelta above 0, not {value!r}")
    return value.total_seconds()


def number(argument: str, value: object) -> int:
    """Returns a whole number from 1 up.

    Raises:
        UsageError: it is not such a number.
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0:
        return int(value)
    raise UsageError(f"{argument} must be a whole number from 1 up, not {value!r}")
