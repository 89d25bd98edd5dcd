"""The work that every system does: FedNCF without an adversary, one user a client, 94 clients a round.

In a round a client draws four negatives for each of its items, makes one step on all its samples, keeps its own vectors
and their Adam, and sends what it changed of all other tensors.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

ITEMS, COHORT, NEGATIVES = 1682, 94, 4
RATE = 0.01
"""Learning rate of a client's step on shared tensors, where a system has one."""

VARIABLE = "FEDAU2_BENCHMARK_WORK"
"""The environment variable from which a system, and each of its processes, takes its work."""


@dataclass(frozen=True)
class Work:
    """The users and the rounds of a run.

    Attributes:
        file: holds the users' items.
        users: number of registered users.
        rounds: number of rounds.
    """

    file: Path
    users: int
    rounds: int

    def text(self) -> str:
        """Writes it for the environment variable."""
        return f"{self.file}|{self.users}|{self.rounds}"

    @classmethod
    def of_environment(cls) -> "Work":
        """Reads it from the environment variable."""
        file, users, rounds = os.environ[VARIABLE].split("|")
        return cls(Path(file), int(users), int(rounds))

    def items(self) -> "Items":
        """Opens the users' items."""
        return Items(np.load(self.file, mmap_mode="r"), self.users)

    def cohorts(self) -> Iterator[NDArray[np.int64]]:
        """Draws the clients of each round."""
        rng = np.random.default_rng(1)
        for _ in range(self.rounds):
            yield rng.choice(self.users, COHORT, replace=False)


class Items(Sequence[NDArray[np.int64]]):
    """Each user's sorted items, mapped from a file: the places where users begin, and then the items of all.

    Args:
        numbers: the file's numbers.
        users: number of users.
    """

    def __init__(self, numbers: NDArray[np.int64], users: int) -> None:
        self._starts, self._rows = numbers[: users + 1], numbers[users + 1 :]

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, user: int) -> NDArray[np.int64]: ...

    @overload
    def __getitem__(self, user: slice) -> Sequence[NDArray[np.int64]]: ...

    def __getitem__(self, user: int | slice) -> "NDArray[np.int64] | Sequence[NDArray[np.int64]]":
        """Copies a user's items, or several users'."""
        if isinstance(user, slice):
            return [self[row] for row in range(len(self))[user]]
        row = range(len(self))[user]
        return np.array(self._rows[self._starts[row] : self._starts[row + 1]])


def write(file: Path, users: int) -> None:
    """Writes users who have as many items as those of MovieLens 100K: 20 at least, 106 on average, some many more.

    Args:
        file: the file to write.
        users: number of users.
    """
    rng = np.random.default_rng(0)
    counts = np.minimum(20 + rng.lognormal(3.7, 1.2, users).astype(np.int64), 700)
    rows = [np.sort(rng.choice(ITEMS, count, replace=False)) for count in counts]
    np.save(file, np.concatenate([[0], np.cumsum(counts), *rows]))


def mark(number: int) -> None:
    """Shows the measuring process that a round has ended.

    Args:
        number: of the round, from 1.
    """
    print(f"round {number}", flush=True)
