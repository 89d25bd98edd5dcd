"""Numbers of users, items and values by their text."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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
