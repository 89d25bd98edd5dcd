"""The statements of a privacy report: each has a stable code, a kind, and values that its texts name."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

Value = int | str | tuple[str, ...]


class StatementKind(StrEnum):
    """The subject of a statement."""

    STAYS = "stays"
    """Data that stay on the device."""
    LEAVES = "leaves"
    """Data that have left the device, or leave it."""
    INFERRED = "inferred"
    """Data that the operator of the coordinator can work out from those that leave."""
    MEASURE = "measure"
    """Measures that protect the user, and those that are missing."""


CODES: dict[str, tuple[StatementKind, frozenset[str]]] = {
    "items_kept": (StatementKind.STAYS, frozenset({"count"})),
    "attributes_kept": (StatementKind.STAYS, frozenset({"names"})),
    "profile_kept": (StatementKind.STAYS, frozenset()),
    "nothing_left": (StatementKind.LEAVES, frozenset()),
    "updates_left": (StatementKind.LEAVES, frozenset({"count", "kilobytes", "last"})),
    "updates_refused": (StatementKind.LEAVES, frozenset({"count"})),
    "older_updates_forgotten": (StatementKind.LEAVES, frozenset({"count"})),
    "enrolment_left": (StatementKind.LEAVES, frozenset({"count"})),
    "cannot_be_taken_back": (StatementKind.LEAVES, frozenset()),
    "connections_seen": (StatementKind.LEAVES, frozenset()),
    "training_would_reveal": (StatementKind.INFERRED, frozenset()),
    "items_revealed": (StatementKind.INFERRED, frozenset()),
    "profile_revealed": (StatementKind.INFERRED, frozenset()),
    "attribute_revealed": (StatementKind.INFERRED, frozenset({"name", "count"})),
    "sums_reveal": (StatementKind.INFERRED, frozenset()),
    "no_name_sent": (StatementKind.MEASURE, frozenset()),
    "transfers_encrypted": (StatementKind.MEASURE, frozenset()),
    "transfers_not_encrypted": (StatementKind.MEASURE, frozenset()),
    "publishers_checked": (StatementKind.MEASURE, frozenset()),
    "publishers_not_checked": (StatementKind.MEASURE, frozenset()),
    "unlearning": (StatementKind.MEASURE, frozenset({"names"})),
    "noise": (StatementKind.MEASURE, frozenset({"names"})),
    "cover_items": (StatementKind.MEASURE, frozenset()),
    "sums_masked": (StatementKind.MEASURE, frozenset({"minimum"})),
    "sums_trusted": (StatementKind.MEASURE, frozenset()),
    "sums_participations": (StatementKind.MEASURE, frozenset({"count", "most"})),
    "sums_unlimited": (StatementKind.MEASURE, frozenset({"count"})),
    "sums_epsilon": (StatementKind.MEASURE, frozenset({"spent", "most", "delta"})),
    "sums_exact_before": (StatementKind.MEASURE, frozenset({"count"})),
    "sums_without_noise": (StatementKind.MEASURE, frozenset()),
}
"""The kind of each statement, and the names of its values, by code. A code never changes its meaning."""


@dataclass(frozen=True)
class Statement:
    """One statement of a privacy report.

    >>> Statement("items_kept", {"count": 2}).kind.value
    'stays'

    Attributes:
        code: a key of `CODES`.
        values: by name. A count is a whole number, names of attributes are a tuple, and a day is as in "2026-01-31".

    Raises:
        ValueError: there is no such code, or its values have other names.
    """

    code: str
    values: Mapping[str, Value]

    def __post_init__(self) -> None:
        if self.code not in CODES or self.values.keys() != CODES[self.code][1]:
            raise ValueError(f"there is no statement {self.code!r} with the values {sorted(self.values)}")

    @property
    def kind(self) -> StatementKind:
        """The subject of the statement."""
        return CODES[self.code][0]


def statement(code: str, **values: Value) -> Statement:
    """Returns a statement, with its values as keyword arguments."""
    return Statement(code, values)
