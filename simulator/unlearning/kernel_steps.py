"""Erases what a kernel sees of users' classes, by small steps that are the same for every user.

A linear map leaves classes of one mean, but of different distributions. Random Fourier features (Rahimi and Recht,
2007) of the standardised states have other means by class then. The difference of a class's mean features from
everybody's is its witness. A step moves each state so that no witness shows anything of it: along the gradient of half
the squared products of witnesses and features, less everybody's. It depends on the state alone and not on the user's
class, so it serves users who tell nothing too. Each step has frequencies of its own, and is made of a sum over users.

Too many steps would exchange the classes of users who did not take part. So they end when the witness of one fold of
the users no longer predicts that of another.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedau2.erasing import folds as comparing
from fedau2.erasing import kernel
from simulator.unlearning import integer_sums
from simulator.unlearning.integer_sums import Grid
from simulator.unlearning.moments import Matrix, Moments, Targets, Totals

FREQUENCIES = 256
"""Random frequencies of a step."""

LENGTH = 0.02
"""Usual length of a step, in standard deviations of each number."""

MOST = 30
"""Most steps of a map. Each needs sums of its own."""

_TURNS = 20
"""Turns in which a step is inverted; its error shrinks in each."""


@dataclass(frozen=True, eq=False)
class Step:
    """A published step.

    Attributes:
        centre, scale: mean and standard deviation of each number, (width,).
        frequencies: (frequencies, width).
        witness: of each class, times the root of its share, (classes, 2 * frequencies).
        offset: products of everybody's mean features and the witnesses, (classes,).
        length: factor of the gradient.
    """

    centre: Matrix
    scale: Matrix
    frequencies: Matrix
    witness: Matrix
    offset: Matrix
    length: float

    def __call__(self, features: NDArray[np.floating]) -> Matrix:
        """Moves states, (users, width)."""
        z = (features - self.centre) / self.scale
        return np.asarray(self.centre + (z - self.length * self.gradient(z)) * self.scale)

    def inverted(self, features: NDArray[np.floating]) -> Matrix:
        """Returns the states before the step."""
        moved = (features - self.centre) / self.scale
        z = moved
        for _ in range(_TURNS):
            z = moved + self.length * self.gradient(z)
        return np.asarray(self.centre + z * self.scale)

    def shown(self, features: NDArray[np.floating]) -> Matrix:
        """Returns what each class's witness shows of states, (users, classes)."""
        return np.asarray(self._shown(_features((features - self.centre) / self.scale, self.frequencies)))

    def gradient(self, standard: Matrix) -> Matrix:
        """Returns the gradient by standardised states, (users, width)."""
        waves = _features(standard, self.frequencies)
        cosine, sine = np.split(waves, 2, axis=1)
        by_cosine, by_sine = np.split(self._shown(waves) @ self.witness, 2, axis=1)
        scale = math.sqrt(len(self.frequencies))
        return np.asarray((cosine * by_sine - sine * by_cosine) @ self.frequencies / scale)

    def _shown(self, waves: Matrix) -> Matrix:
        return np.asarray(waves @ self.witness.T / math.sqrt(len(self.frequencies)) - self.offset)


def fit(features: Matrix, targets: Targets, fold: NDArray[np.int64], rng: np.random.Generator) -> list[Step]:
    """Fits steps to what users add up, one after another, until folds no longer agree; perhaps not one.

    Args:
        features: of all users, (users, width).
        targets: see `moments.joint`; users without a class take no part.
        fold: the public number of each user's fold, (users,).
        rng: the public randomness of the frequencies.
    """
    known = targets.any(1)
    x, chosen, parts = features[known], targets[known], fold[known]
    grid = Grid.of(x)
    whole = Moments.of(grid.rounded(x), chosen)
    centre, scale = whole.mean * grid.step, np.sqrt(np.maximum(np.diag(whole.covariance), 0)) * grid.step
    scale = np.where(scale > 0, scale, 1.0)
    steps: list[Step] = []
    while len(steps) < MOST:
        step = _step(x, chosen, parts, centre, scale, rng)
        if step is None:
            break
        steps.append(step)
        x = step(x)
    return steps


def _step(
    x: Matrix, targets: Targets, fold: NDArray[np.int64], centre: Matrix, scale: Matrix, rng: np.random.Generator
) -> Step | None:
    """Fits a step; None if the folds' witnesses do not predict each other."""
    z, width = (x - centre) / scale, x.shape[1]
    frequencies = kernel.frequencies(rng, FREQUENCIES, width)
    unit = integer_sums.room(len(x))
    waves = np.rint(_features(z, frequencies) * unit)
    sums = [Totals.of(waves[fold == number], targets[fold == number]) for number in range(fold.max() + 1)]
    gaps = [part.gaps / unit / math.sqrt(FREQUENCIES) for part in sums]
    if comparing.agreement(gaps) <= 0:
        return None
    whole = sum(sums[1:], start=sums[0])
    shares = whole.counts / whole.users
    witness = whole.gaps / unit / math.sqrt(FREQUENCIES) * np.sqrt(shares)[:, None]
    mean = whole.mean / unit / math.sqrt(FREQUENCIES)
    step = Step(centre, scale, frequencies, witness, witness @ mean, 1.0)
    length = LENGTH / integer_sums.usual_size(step.gradient(z))
    return Step(centre, scale, frequencies, witness, step.offset, length)


def _features(standard: Matrix, frequencies: Matrix) -> Matrix:
    """Returns cosines and then sines of the phases, (users, 2 * frequencies)."""
    phases = standard @ frequencies.T
    return np.concatenate([np.cos(phases), np.sin(phases)], axis=1)
