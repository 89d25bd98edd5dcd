"""An erasure that is made again while training goes on, from sums of integers over the users.

Training brings back what an erasure has removed, because the attribute helps to rank. So every few rounds all devices
add their part to the sums from which a map is fitted (`integer_sums`), and the server publishes the map. A device
applies it to its private state, whatever its class is and whether it tells it. Where nothing is private, the map goes
into the encoder that all devices share.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel import contract
from client_sdk.kernel.models import RECOMMENDERS
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.blobs import Tensors
from simulator.datasets import Attribute
from simulator.evaluation.scoring import Scorer
from simulator.population import public_randomness
from simulator.population.population import Population
from simulator.unlearning import erasure, integer_sums, moments
from simulator.unlearning.erasure import Eraser


@dataclass(frozen=True, eq=False)
class Renewal:
    """Makes an erasure of LEACE again.

    Attributes:
        every: rounds from one map to the next.
        kind: `auto`, or a strength, as in `erasure.erase`.
        attributes: by name, as far as devices tell them.
        seed: of the run, from which the folds are drawn.
    """

    every: int
    kind: str
    attributes: Mapping[str, Attribute]
    seed: int

    def due(self, rounds: int) -> bool:
        """Returns whether a map is made after this many rounds."""
        return rounds % self.every == 0

    def fitted(self, features: NDArray[np.float32], rounds: int) -> Eraser | None:
        """Fits a map to what devices add up; None if fewer than two classes are left: there is nothing to erase then.

        Args:
            features: of all users, (users, width).
            rounds: rounds that were trained, for the folds.

        Raises:
            ErasureError: no more users tell their attributes than the state has numbers.
        """
        drawn = public_randomness.generator("folds of an erasure", self.seed, rounds)
        fold = drawn.permutation(len(features)) % moments.FOLDS
        left = integer_sums.without_rare(self.attributes, fold)
        if not left:
            return None
        targets = moments.joint(left)
        parts = integer_sums.folds(features, targets, integer_sums.Grid.of(features[targets.any(1)]), fold)
        return erasure.fit(parts, erasure.strength_of(self.kind))

    def renew(self, task: TaskManifest, checkpoint: Tensors, population: Population, rounds: int) -> Tensors:
        """Erases the attributes from the private state of all clients, in place, or else from the encoder.

        Args:
            task: the manifest.
            checkpoint: the shared tensors, which are not changed.
            population: the clients.
            rounds: see `fitted`.

        Returns:
            The shared tensors after it.

        Raises:
            ErasureError: see `fitted`.
        """
        private = population.state.values
        if private:
            eraser = self.fitted(erasure.joined(private), rounds)
            for name, values in erasure.applied(eraser, private).items() if eraser else ():
                private[name][np.arange(len(population))] = values
            return checkpoint
        encoder = contract.encoder(RECOMMENDERS[task.model].model)
        assert encoder is not None  # checked before training
        (latent,) = Scorer(task, checkpoint, {}, population.interactions).embedding().values()
        eraser = self.fitted(latent, rounds)
        return erasure.moved(encoder, checkpoint, eraser) if eraser else checkpoint
