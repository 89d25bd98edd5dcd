"""Interactions as an app records them: their kinds, and the checks of an app's arguments."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple, get_args

from client_sdk import arguments
from client_sdk.errors import UsageError
from fedau2.wire.weights import MOST_RATING

Kind = Literal["view", "like", "purchase", "dislike", "rating"]
"""The kinds of interactions."""

KINDS: tuple[Kind, ...] = get_args(Kind)
VIEW: Kind = "view"
DISLIKE: Kind = "dislike"
RATING: Kind = "rating"


class Kept(NamedTuple):
    """An interaction as the device keeps it.

    Attributes:
        item: its id.
        time: microseconds since 1970, UTC.
        kind: one of `KINDS`.
        weight: the app's own, above 0.
        value: the rating; None for other kinds.
    """

    item: str
    time: int
    kind: str = VIEW
    weight: float = 1.0
    value: float | None = None


def checked(
    items: object, times: object = None, kinds: object = None, weights: object = None, values: object = None
) -> list[Kept]:
    """Checks what an app records.

    Args:
        items: ids.
        times: one for each item; None: the time now for all.
        kinds: one for each item; None: all are views.
        weights: one for each item; None: all are 1.
        values: one for each item, None where it is not a rating; None: there are no ratings.

    Raises:
        UsageError: an argument is not a list of such values, or their numbers differ.
    """
    if isinstance(items, str) or not isinstance(items, Iterable):
        raise UsageError(f"record_many takes several items; record({items!r}) records one")
    names = [arguments.item(value) for value in items]
    count, now = len(names), datetime.now(UTC)
    columns = zip(
        names,
        _column("times", times, now, count),
        _column("kinds", kinds, VIEW, count),
        _column("weights", weights, 1.0, count),
        _column("values", values, None, count),
        strict=True,
    )
    return [_kept(*fields) for fields in columns]


def _kept(item: str, time: object, kind: object, weight: object, value: object) -> Kept:
    known = _kind(kind)
    return Kept(item, arguments.microseconds(time), known, _weight(weight), _value(known, value))


def named(item: object, time: object) -> tuple[str, int | None]:
    """Checks the name of interactions: an item, and a time or None for all times.

    Raises:
        UsageError: one of them is of another type.
    """
    return arguments.item(item), None if time is None else arguments.microseconds(time)


def names(argument: str, items: object) -> list[str]:
    """Checks one id, or several; one may be named twice.

    Raises:
        UsageError: they are not ids.
    """
    if isinstance(items, str):
        return [arguments.item(items)]
    if not isinstance(items, Iterable):
        raise UsageError(f"{argument} must be an id or several, not {items!r}")
    return [arguments.item(item) for item in items]


def _column(name: str, values: object, usual: object, count: int) -> Sequence[object]:
    if values is None:
        return [usual] * count
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise UsageError(f"{name} must be a list with an entry for each item, not {values!r}")
    entries = list(values)
    if len(entries) != count:
        raise UsageError(f"there are {count} items and {len(entries)} {name}")
    return entries


def _kind(value: object) -> Kind:
    for kind in KINDS:
        if isinstance(value, str) and value == kind:
            return kind
    raise UsageError(f"kind must be one of {', '.join(KINDS)}, not {value!r}")


def _weight(value: object) -> float:
    number = arguments.real("weight", value)
    if not 0 < number <= MOST_RATING:
        raise UsageError(f"weight must be a number above 0 and at most {MOST_RATING:,}, not {value!r}")
    return number


def _value(kind: Kind, value: object) -> float | None:
    if kind != RATING:
        if value is None:
            return None
        raise UsageError(f"only a rating has a value, not a {kind}")
    number = arguments.real("value", value)
    if not 0 <= number <= MOST_RATING:
        raise UsageError(f"the value of a rating must be a number from 0 to {MOST_RATING:,}, not {value!r}")
    return number
