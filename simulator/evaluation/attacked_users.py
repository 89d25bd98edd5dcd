"""The users of an attribute attack: who is attacked, and who of them an attacker learns from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NotFiniteError, TooFewUsersError

MINIMUM = 10
"""Least number of users of each class."""

MOST_USERS = 20_000
"""Most users that are attacked, as many of each class; of more users, a random sample is attacked."""


def expect_enough(labels: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Checks that there are enough users of each class for an attack.

    Args:
        labels: class numbers, (users,); a user with -1 is left out.
        classes: names of the classes.

    Raises:
        TooFewUsersError: a class has fewer than `MINIMUM` users.
    """
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    if few := [f"{n} of {name!r}" for n, name in zip(counts, classes, strict=True) if n < MINIMUM]:
        counts_of_classes = ", ".join(few[:5]) + (f" and {len(few) - 5} more such classes" if len(few) > 5 else "")
        raise TooFewUsersError(f"an attack needs {MINIMUM} users of each class; there are {counts_of_classes}")


def expect_finite(features: NDArray[np.floating[Any]], users: NDArray[np.int64]) -> None:
    """Checks that the attacked state is finite.

    Args:
        features: the attacked state, (n, width).
        users: the users' rows in the population, (n,).

    Raises:
        NotFiniteError: a feature is NaN or infinite.
    """
    diverged = users[~np.isfinite(features).all(axis=1)]
    if len(diverged):
        raise NotFiniteError(
            f"private state of {len(diverged)} users, first of row {diverged[0]}, is not finite: training diverged; "
            "lower the learning rates"
        )


def sample(labels: NDArray[np.int64], classes: int, seed: int, most: int | None = None) -> NDArray[np.int64]:
    """Draws the users of known class who are attacked: all of them, or as many of a class as it may have.

    Args:
        labels: class numbers, (users,); a user with -1 is left out.
        classes: number of classes.
        seed: of the sample.
        most: number of users that are attacked at most; None: `MOST_USERS`.

    Returns:
        Their numbers, in order.
    """
    most = (MOST_USERS if most is None else most) // classes
    rng = np.random.default_rng([seed, most])
    users = [np.flatnonzero(labels == number) for number in range(classes)]
    drawn = [rng.choice(rows, most, replace=False) if len(rows) > most else rows for rows in users]
    return np.sort(np.concatenate(drawn))


def divided(
    labels: NDArray[np.int64], seed: int, share: float, tested: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draws balanced users, and divides them at random with equal shares of the classes.

    Args:
        labels: class numbers, (users,).
        seed: of the draw.
        share: of those to learn from.
        tested: True for the users who may be tested on, (users,). A balanced draw of them is divided, and the attacker
            learns from all other users. None: everybody is.

    Returns:
        The numbers of the users to learn from, and of those to be tested on.
    """
    from sklearn.model_selection import train_test_split  # here, because it takes a while to load

    rng = np.random.default_rng(seed)
    if tested is None:
        users = balanced(labels, rng)
        train, test = train_test_split(users, train_size=share, stratify=labels[users], random_state=seed)
        return train, test
    of_class = balanced(np.where(tested, labels, -1), rng).reshape(labels.max() + 1, -1)
    test = of_class[:, : max(1, round((1 - share) * of_class.shape[1]))].ravel()
    left = labels.copy()
    left[test] = -1
    return balanced(left, rng), test


def permuted(
    labels: NDArray[np.int64], rng: np.random.Generator, tested: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Permutes labels: those of users who may be tested on and those of the others apart, so that none is moved."""
    if tested is None:
        return rng.permutation(labels)
    drawn = labels.copy()
    for part in (tested, ~tested):
        drawn[part] = rng.permutation(labels[part])
    return drawn


def balanced(labels: NDArray[np.int64], rng: np.random.Generator, most: int | None = None) -> NDArray[np.int64]:
    """Draws equally many users of each class: as many as the rarest class has, at most `most`, and at least one.

    Args:
        labels: class numbers, (users,); a user with -1 is left out.
        rng: generator of the draw.
        most: most users of each class; no limit by default.
    """
    size = int(np.bincount(labels[labels >= 0]).min())
    if most is not None:
        size = min(max(1, most), size)
    chosen = [rng.choice(np.flatnonzero(labels == c), size, replace=False) for c in range(labels.max() + 1)]
    return np.concatenate(chosen)
