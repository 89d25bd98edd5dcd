"""Checks that a data set can be written into files that are read as the same data."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from client_sdk.interactions import KINDS
from simulator.datasets import columns
from simulator.datasets.attributes import MOST_CLASSES, Attribute, value
from simulator.errors import DatasetFormatError

_UNWRITABLE = re.compile("[\t\r\n\0\ud800-\udfff]")
_SPACES = " \t\n\r\f"


def expect_ids(kind: str, ids: Collection[str]) -> None:
    """Checks the ids of users or items.

    Args:
        kind: `user` or `item`, for errors.
        ids: the ids.

    Raises:
        DatasetFormatError: one cannot be written or would not be read as the same one.
    """
    _expect_texts(kind, ids)
    _refuse(kind, (text for text in ids if not text.strip(_SPACES)), "is empty")


def expect_attributes(attributes: Mapping[str, Attribute]) -> None:
    """Checks the names and classes of attributes.

    Raises:
        DatasetFormatError: a name or class cannot be written, or would not be read as the same one.
    """
    _expect_texts("attribute", list(attributes))
    _refuse("attribute", (name for name in attributes if not name), "has no name")
    _refuse("attribute", (name for name in attributes if name == columns.USER), "has the name of the users' column")
    _refuse("attribute", (name for name in attributes if "," in name), "has a comma, which separates names")
    for name, attribute in attributes.items():
        kind, classes = f"class of {name!r}", attribute.classes
        _expect_texts(kind, classes)
        _refuse(kind, (text for text in classes if not text or value(text) != text), "would be read as another value")
        if not 0 < len(classes) <= MOST_CLASSES:
            raise DatasetFormatError(f"attribute {name!r} has {len(classes)} classes, and not 1 to {MOST_CLASSES}")


def feedback(ratings: NDArray[np.float32] | None, kinds: NDArray[np.int8] | None) -> dict[str, list[bytes]]:
    """Writes the ratings and kinds of interactions as columns, by title; None has no column.

    Raises:
        DatasetFormatError: a rating or a kind would not be read as the same one.
    """
    written = {}
    if ratings is not None:
        if not (np.isfinite(ratings) & (ratings >= 0)).all():
            raise DatasetFormatError("a rating is not a finite number from 0 on")
        # A float32 in as few digits as give the same float32 again.
        written[columns.RATING] = [str(number).encode() for number in ratings.astype(np.float32)]
    if kinds is not None:
        if not np.isin(kinds, np.arange(len(KINDS))).all():
            raise DatasetFormatError(f"a kind is not the number of one of {', '.join(KINDS)}")
        written[columns.KIND] = [KINDS[number].encode() for number in kinds.tolist()]
    return written


def _expect_texts(kind: str, texts: Collection[str]) -> None:
    unwritable = (text for text in texts if _UNWRITABLE.search(text))
    _refuse(kind, unwritable, "has a tab, a line break or another character that no file of this format can hold")
    _refuse(kind, (text for text, count in Counter(texts).items() if count > 1), "is listed twice")


def _refuse(kind: str, bad: Iterable[str], problem: str) -> None:
    for text in bad:
        raise DatasetFormatError(f"{kind} {text!r} {problem}")
