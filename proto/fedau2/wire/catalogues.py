"""Compares two catalogues of items by their ids, for people."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Difference:
    """The difference between a catalogue and the one that follows it.

    >>> Difference.of(["a", "b", "c"], ["B", "c", "d"])
    Difference(kept=1, new=2, retired=2, lookalikes=(('b', 'B'),))

    Attributes:
        kept: number of items that both list.
        new: number of items that only the second lists.
        retired: number of items that only the first lists.
        lookalikes: pairs of a retired and a new id that differ by case or by Unicode's normal form only. They are
            different items all the same.
    """

    kept: int
    new: int
    retired: int
    lookalikes: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, old: Sequence[str], new: Sequence[str]) -> Self:
        """Compares two catalogues."""
        before, after = set(old), set(new)
        retired = {_folded(item): item for item in old if item not in after}
        pairs = [(retired[_folded(item)], item) for item in new if item not in before and _folded(item) in retired]
        kept = len(before & after)
        return cls(kept, len(after) - kept, len(before) - kept, tuple(pairs))


def _folded(item: str) -> str:
    return unicodedata.normalize("NFKC", item).casefold()
