"""Maps that erase attributes, made again while training goes on, from sums of integers over the users.

Training brings back what an erasure has removed, because the attribute helps to rank. So every few rounds all devices
add their part to the sums from which maps are fitted (`integer_sums`), and the server publishes the maps. A device
applies them, whatever its class is and whether it is known: to its private state, from which it trains on, or else to
the embedding that it computes of its interactions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.datasets import Attribute
from simulator.population import public_randomness
from simulator.population.columns import Column
from simulator.population.population import Population
from simulator.unlearning import erasure, integer_sums, kernel_steps, moments
from simulator.unlearning.erasure import Eraser
from simulator.unlearning.kernel_steps import Step

KERNEL = "kernel"
"""The kind of erasure that takes kernel steps after LEACE."""

Maps = tuple[Eraser, *tuple[Step, ...]] | tuple[()]
"""A map of LEACE and then steps, or nothing, where there is nothing to erase."""


@dataclass(frozen=True, eq=False)
class Renewal:
    """Fits maps, and fits them again when they are due.

    Attributes:
        every: rounds from one fit to the next; 0: none is due while training goes on.
        kind: `kernel`, `auto` or a strength; the latter two are LEACE alone.
        attributes: by name, as far as devices tell them.
        seed: of the run, from which folds and frequencies are drawn.
    """

    every: int
    kind: str
    attributes: Mapping[str, Attribute]
    seed: int

    def due(self, rounds: int) -> bool:
        """Returns whether maps are fitted after this many rounds."""
        return self.every > 0 and rounds % self.every == 0

    def fitted(self, features: NDArray[np.float32], rounds: int) -> Maps:
        """Fits maps to what devices add up; none if fewer than two classes are left: there is nothing to erase then.

        Args:
            features: of all users, (users, width).
            rounds: rounds that were trained, for what is drawn.

        Raises:
            ErasureError: no more users tell their attributes than the state has numbers.
        """
        rng = public_randomness.generator("erasure", self.seed, rounds)
        fold = rng.permutation(len(features)) % moments.FOLDS
        left = integer_sums.without_rare(self.attributes, fold)
        if not left:
            return ()
        targets = moments.joint(left)
        grid = integer_sums.Grid.of(features[targets.any(1)])
        strength = None if self.kind == KERNEL else erasure.strength_of(self.kind)
        eraser = erasure.fit(integer_sums.folds(features, targets, grid, fold), strength)
        if self.kind != KERNEL:
            return (eraser,)
        return (eraser, *kernel_steps.fit(eraser(features).astype(np.float64), targets, fold, rng))

    def renew(self, population: Population, rounds: int) -> None:
        """Fits maps to the private state of all clients, and applies them to it in place.

        Raises:
            ErasureError: see `fitted`.
        """
        private = population.state.values
        for name, values in moved(self.fitted(erasure.joined(private), rounds), private).items():
            private[name][np.arange(len(population))] = values


def applied(maps: Sequence[Eraser | Step], features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Applies maps one after another to features, (users, width)."""
    for part in maps:
        features = part(features).astype(np.float32)
    return features


def undone(maps: Sequence[Eraser | Step], features: NDArray[np.floating]) -> NDArray[np.floating]:
    """Returns the features before maps, as whoever knows them can compute it."""
    for part in reversed(maps):
        features = part.inverted(features)
    return features


def moved(maps: Maps, private: Mapping[str, Column]) -> dict[str, NDArray[np.float32]]:
    """Applies maps to all private tensors together."""
    return erasure.separated(applied(maps, erasure.joined(private)), private)
