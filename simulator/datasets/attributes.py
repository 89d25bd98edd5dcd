"""Attributes of users, and the classes that are made of the values of a column."""

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.config.own_files import NUMBER
from simulator.datasets.oddities import MISSING, oddities
from simulator.errors import DatasetFormatError

MOST_CLASSES = 50
"""A column with more different values, such as a postal code, is not an attribute."""

NOT_DIVIDED = "is not a number, and only numbers are divided into classes"
"""The problem with a field of a column that is divided."""

_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Attribute:
    """A user attribute with known classes.

    Attributes:
        classes: the names of the classes, in label order.
        labels: each user's class number, int64 (users,); -1 where it is unknown.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]

    def counts(self) -> NDArray[np.int64]:
        """Counts the users of each class, (classes,)."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.classes))


@dataclass
class UserColumns:
    """Makes attributes of the columns of users, and collects what is to be said about them.

    Attributes:
        edges: ascending numbers that divide a column into classes, by column.
        fold_case: true to write classes in small letters.
        attributes: those made so far, by name.
        unfit: the reason for each column that cannot be an attribute.
        notes: sentences about how values were read.
    """

    edges: Mapping[str, Sequence[float]] = field(default_factory=dict)
    fold_case: bool = False
    attributes: dict[str, Attribute] = field(default_factory=dict)
    unfit: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, texts: Sequence[str], numbers: NDArray[np.int64], listed: Sequence[str] = ()) -> None:
        """Makes an attribute of a column, or says why it cannot be one.

        Args:
            name: of the column.
            texts: its different values; the first is empty.
            numbers: each user's place in `texts`, (users,).
            listed: all classes that a column that is not divided may have, in order; empty: those it has, sorted.

        Raises:
            DatasetFormatError: a value of a column that is divided is not a number, or one is not listed.
        """
        users, edges = Counter(numbers.tolist()), self.edges.get(name, ())
        known = [text for number in sorted(users) if value(text := texts[number])]
        if bad := next((text for text in known if edges and not is_number(text)), None):
            raise DatasetFormatError(f"{name} {bad!r} {NOT_DIVIDED}")
        class_by_text = {text: class_of(text, edges, self.fold_case) for text in known}
        classes = class_names(edges) if edges else self._listed(listed) or tuple(sorted(set(class_by_text.values())))
        if strange := next((text for text in known if class_by_text[text] not in classes), None):
            raise DatasetFormatError(
                f"{name} {strange!r} is not among the classes that are listed: {', '.join(classes)}"
            )
        self.notes += _missing(name, texts, users)
        if reason := _unfit(name, known, classes, bool(listed)):
            self.unfit[name] = reason
            return
        label = {text: classes.index(class_name) for text, class_name in class_by_text.items()}
        self.attributes[name] = Attribute(classes, np.array([label.get(text, -1) for text in texts], np.int64)[numbers])
        self.notes += [_range(name, list(map(float, known)))] if edges else _alike(name, classes)
        self.notes += oddities(f"classes of {name!r}", classes)

    def _listed(self, classes: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(class_of(text, (), self.fold_case) for text in classes))


def value(text: str) -> str:
    """Returns the value of a field, without spaces around it; empty if it is not known."""
    stripped = text.strip()
    return "" if stripped.lower() in MISSING else stripped


def class_of(text: str, edges: Sequence[float], fold_case: bool) -> str:
    """Returns the class of a field; empty if it is not known.

    Args:
        text: the field.
        edges: ascending numbers that divide its column into classes; empty: the value is the class.
        fold_case: true to write the class in small letters.
    """
    known = value(text)
    if known and edges:
        return class_names(edges)[int(np.searchsorted(edges, float(known), "right"))]
    return known.lower() if fold_case else known


def is_number(text: str) -> bool:
    """Returns whether a field, without spaces around it, is a number."""
    return re.fullmatch(NUMBER, text.strip()) is not None


def class_names(edges: Sequence[float]) -> tuple[str, ...]:
    """Returns the names of the classes between ascending edges; an edge is the lowest number of its class.

    >>> class_names([25, 45])
    ('under 25', '25 to under 45', '45 and over')
    """
    texts = [np.format_float_positional(edge, trim="-") for edge in edges]
    between = [f"{low} to under {high}" for low, high in itertools.pairwise(texts)]
    return (f"under {texts[0]}", *between, f"{texts[-1]} and over")


def _unfit(name: str, known: Sequence[str], classes: Sequence[str], listed: bool) -> str:
    """Returns the reason why a column cannot be an attribute; empty if it can."""
    if "," in name:
        return "its name has a comma, which separates the names of several attributes"
    if not known and not listed:
        return "no user with a value in it has interactions"
    if len(classes) > MOST_CLASSES:
        advice = f"; --bin {name}=A,B divides numbers into classes" if all(map(is_number, known)) else ""
        return f"it has {len(classes):,} different values, more than {MOST_CLASSES}{advice}"
    return ""


def _range(name: str, numbers: Sequence[float]) -> str:
    low, high = (np.format_float_positional(bound(numbers), trim="-") for bound in (min, max))
    return f"{name!r} is divided into classes; its numbers go from {low} to {high}"


def _missing(name: str, texts: Sequence[str], users: Mapping[int, int]) -> list[str]:
    words = {text: count for number, count in users.items() if (text := texts[number]).strip() and not value(text)}
    if not words:
        return []
    listed = ", ".join(map(str.strip, sorted(words)[:_SHOWN]))
    return [f"{name!r} is unknown for {sum(words.values()):,} users who have the word {listed} for it"]


def _alike(name: str, classes: Sequence[str]) -> list[str]:
    """Points out classes that differ only in capitals, or in the way that a letter with an accent is written."""
    groups: dict[str, list[str]] = {}
    for text in classes:
        groups.setdefault(unicodedata.normalize("NFKC", text).casefold(), []).append(text)
    return [
        f"{name!r} has the classes {' and '.join(map(repr, group))}, which look alike: --fold-case makes those that "
        "differ in capitals the same"
        for group in groups.values()
        if len(group) > 1
    ]
