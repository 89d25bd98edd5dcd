"""The items of all users in one array, which costs 8 bytes an interaction."""

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class Histories(Sequence[NDArray[np.int64]]):
    """Each user's item rows. They lie one after another in one array.

    Args:
        rows: item rows of all users, int64 (n,).
        counts: number of each user's, (users,).

    Attributes:
        rows: item rows of all users.
        starts: where each user's begin in `rows`, and where the last user's end, int64 (users + 1,).
    """

    def __init__(self, rows: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        self.rows = rows
        self.starts = np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, user: int) -> NDArray[np.int64]: ...

    @overload
    def __getitem__(self, user: slice) -> "Sequence[NDArray[np.int64]]": ...

    def __getitem__(self, user: int | slice) -> "NDArray[np.int64] | Sequence[NDArray[np.int64]]":
        """Returns a view of a user's rows, or of several users'."""
        if isinstance(user, slice):
            return [self[row] for row in range(len(self))[user]]
        row = range(len(self))[user]
        return self.rows[self.starts[row] : self.starts[row + 1]]

    def counts(self) -> NDArray[np.int64]:
        """Returns the number of each user's rows, (users,)."""
        return np.diff(self.starts)
