"""Reads dates as whole numbers of nanoseconds since 1970, which sort as the dates do."""

import re
from datetime import UTC, datetime, timedelta

FORM = "a date such as 2024-01-31 or 2024-01-31 10:00:00"

_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)? ?(Z|UTC|[+-]\d\d:?\d\d)?", re.ASCII
)
_START = datetime(1970, 1, 1, tzinfo=UTC)


def nanoseconds(text: str) -> int | None:
    """Returns the time of a date in ISO 8601, UTC where it names no zone; None for another text.

    >>> nanoseconds("1970-01-01 00:00:01.5"), nanoseconds("1970-01-01T01:00+01:00"), nanoseconds("31.1.1970")
    (1500000000, 0, None)
    """
    match = _DATE.fullmatch(text.strip())
    if not match:
        return None
    day, minute, second, fraction, zone = match.groups()
    try:
        zone = "Z" if zone in (None, "UTC") else zone
        moment = datetime.fromisoformat(f"{day}T{minute or '00:00'}:{second or '00'}{zone}")
    except ValueError:
        return None
    return (moment - _START) // timedelta(seconds=1) * 10**9 + int((fraction or "").ljust(9, "0"))
