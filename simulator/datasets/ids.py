"""Numbers of users, items and values by their text, and what is odd about such texts."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from simulator.datasets.attributes import MISSING
from simulator.datasets.table import Block


class Ids:
    """Numbers ids in the order in which they first appear."""

    def __init__(self, known: Sequence[bytes] = ()) -> None:
        self._numbers = {identifier: number for number, identifier in enumerate(known)}

    def __len__(self) -> int:
        return len(self._numbers)

    def find(self, column: pa.Array) -> NDArray[np.int32]:
        """Looks up the number of each id, int32 (rows,); -1 for an unknown id."""
        return self._encode(column, lambda identifier: self._numbers.get(identifier, -1))

    def add(self, column: pa.Array) -> NDArray[np.int32]:
        """Looks up the number of each id, int32 (rows,); a new id gets the next number."""
        return self._encode(column, lambda identifier: self._numbers.setdefault(identifier, len(self._numbers)))

    def add_once(self, block: Block, column: str) -> None:
        """Does the same as `add`, for a column in which an id may appear once only.

        Raises:
            DatasetFormatError: an id appears again.
        """
        before = len(self)
        rows = self.add(block.columns[column])
        again = np.flatnonzero(rows != np.arange(before, before + len(rows)))
        if again.size:
            raise block.error(int(again[0]), f"{column} {block.text(column, int(again[0]))!r} is listed twice")

    def texts(self) -> list[str]:
        """Lists the ids in order of their numbers."""
        return [identifier.decode() for identifier in self._numbers]

    @staticmethod
    def _encode(column: pa.Array, number: Callable[[bytes], int]) -> NDArray[np.int32]:
        encoded = column.dictionary_encode()
        numbers = np.array([number(identifier) for identifier in encoded.dictionary.to_pylist()], np.int32)
        rows: NDArray[np.int32] = numbers[np.asarray(encoded.indices)]
        return rows


def oddities(kind: str, texts: Sequence[str]) -> list[str]:
    """Points out ids that may not be what they seem.

    Args:
        kind: of the ids: "user".
        texts: the ids.
    """
    checks = {
        "with a space at the beginning or end, which is a part of the id": lambda text: text != text.strip(),
        "that are a word for a missing value": lambda text: text.lower() in MISSING,
        "with U+FFFD, by which a program has replaced letters": lambda text: "\ufffd" in text,
    }
    groups = {problem: list(filter(is_odd, texts)) for problem, is_odd in checks.items()}
    return [
        f"{kind} ids {problem}: {len(group):,}, the first is {group[0]!r}" for problem, group in groups.items() if group
    ]
