"""Baselines that hide attributes with Gaussian noise instead of unlearning; see docs/baselines.md.

* Noise after training is added to the protected state.
* Local noise: each client clips its contribution and adds noise to every number of it.
* APM (arXiv 2205.11857) is approximated by local noise on each component of the model. The noise grows with the
  accuracy of a surrogate attacker that reads the attribute from the component.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from client_sdk.kernel import contract
from client_sdk.kernel.models import RECOMMENDERS
from coordinator.aggregation.aggregators import Aggregator
from export.plan.schema import Plan
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import manifest
from fedau2.wire.blobs import Tensors
from fedau2.wire.contributions import Update
from simulator.config.sections import EngineSettings
from simulator.datasets import Attribute
from simulator.errors import ConfigError
from simulator.population import public_randomness
from simulator.population.columns import Column
from simulator.population.population import Members, Population

SHADOW = (0.3, 300)
"""Share and largest number of the shadow clients: APM's surrogate attacker learns from their state and attribute."""

_BLOCK = 2**24
"""Numbers whose noise is drawn at a time. The noise does not depend on it."""

FOLDS = 5
"""Folds of the surrogate attacker's cross-validation, and so the least number of shadow clients of each class."""


def noised(
    task: TaskManifest,
    shared: Tensors,
    private: Mapping[str, Column],
    names: Iterable[str],
    deviation: float,
    seed: int,
) -> tuple[Tensors, Mapping[str, Column]]:
    """Adds Gaussian noise to the protected state of a trained model.

    A model without private tensors gets the noise on the weights of its encoder.

    Args:
        task: the manifest.
        shared: the shared tensors.
        private: the private tensors of all clients.
        names: the protected states. Noise is added to those that are private tensors, or to all private tensors if none
            of them is.
        deviation: standard deviation of the noise.
        seed: the run's seed, from which the noise is drawn.

    Returns:
        Shared and private tensors. Tensors without noise are the same arrays.

    Raises:
        ConfigError: the model has neither private state nor an encoder.
    """
    if private:
        chosen = [name for name in names if name in private] or list(private)
        return shared, {**private, **_noised(private, chosen, deviation, seed)}
    return {**shared, **_noised(shared, encoder(task)[0], deviation, seed)}, private


def _noised(tensors: Mapping[str, Column], names: Iterable[str], deviation: float, seed: int) -> Tensors:
    noisy = {}
    for stream, name in enumerate(sorted(tensors)):
        if name in names:
            rng = public_randomness.generator("noise after training", seed, stream=stream)
            noisy[name] = np.empty(tensors[name].shape, np.float32)
            for rows in np.array_split(np.arange(len(noisy[name])), 1 + noisy[name].size // _BLOCK):
                part = tensors[name][rows]
                noisy[name][rows] = part + np.float32(deviation) * rng.standard_normal(part.shape, np.float32)
    return noisy


def encoder(task: TaskManifest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names the weights and the biases of the encoder, which computes a latent from the interactions.

    Raises:
        ConfigError: the model has no encoder.
    """
    encoding = contract.encoder(RECOMMENDERS[task.model].model)
    if encoding is None:
        raise ConfigError(f"{task.model} has no private state and no encoder that noise could protect")
    return encoding.ENCODER_WEIGHTS, encoding.ENCODER_BIASES


def on_contributions(settings: EngineSettings, task: TaskManifest) -> bool:
    """Decides if clients add noise to their contributions, which the simulator draws once for the sum of a round."""
    return settings.local_noise > 0 or (settings.apm > 0 and not manifest.private(task))


@dataclass(eq=False)
class Noise:
    """The noise that clients add in each round. It is drawn from the run's seed, so that a run can be repeated.

    Attributes:
        seed: the run's seed.
        shared: standard deviation of the noise on each client's clipped contribution, by tensor.
        private: standard deviation of the noise on each client's private state after a round, by tensor.
    """

    seed: int
    shared: dict[str, float] = field(default_factory=dict)
    private: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: EngineSettings, plan: Plan, task: TaskManifest) -> "Noise":
        """Makes the noise of a configuration; it has deviations only with `local_noise`."""
        names = manifest.shared(task) if settings.local_noise else ()
        return cls(settings.seed, dict.fromkeys(names, settings.local_noise * plan.server.clip_norm))

    def noisy(self, total: Aggregator, round_number: int) -> Aggregator:
        """Wraps an aggregator so that its mean has the noise of all contributions."""
        return _NoisyMean(total, self, round_number) if self.shared else total

    def disturb(self, population: Population, members: Members, round_number: int) -> None:
        """Adds noise to the private state of clients that have trained."""
        for stream, (name, column) in enumerate(sorted(population.state.values.items())):
            if deviation := self.private.get(name):
                rng = public_randomness.generator("private noise", self.seed, round_number, stream)
                shape = (len(members), *column.shape[1:])
                column[members] += np.float32(deviation) * rng.standard_normal(shape, np.float32)


class _NoisyMean:
    """An `Aggregator` that draws noise once: the sum of n clients' noises N(0, s^2) is distributed as N(0, n s^2)."""

    def __init__(self, total: Aggregator, noise: Noise, round_number: int) -> None:
        self._total, self._noise, self._round = total, noise, round_number
        self._clients: dict[str, int] = {}

    def add(self, contribution: Mapping[str, Update], *, largest: float | None = None, factor: float = 1.0) -> None:
        self._total.add(contribution, largest=largest, factor=factor)
        for name in contribution:
            self._clients[name] = self._clients.get(name, 0) + 1

    def merge(self, other: "_NoisyMean") -> None:
        self._total.merge(other._total)
        for name, count in other._clients.items():
            self._clients[name] = self._clients.get(name, 0) + count

    def mean(self) -> dict[str, NDArray[np.float64]]:
        return {
            name: self._noisy(stream, name, value)
            for stream, (name, value) in enumerate(sorted(self._total.mean().items()))
        }

    def variances(self) -> dict[str, float]:
        return self._total.variances()

    def remembered(self) -> Tensors:
        return self._total.remembered()

    def _noisy(self, stream: int, name: str, value: NDArray[np.float64]) -> NDArray[np.float64]:
        if not (deviation := self._noise.shared.get(name)):
            return value
        rng = public_randomness.generator("local noise", self._noise.seed, self._round, stream)
        return np.asarray(value + deviation / math.sqrt(self._clients[name]) * rng.standard_normal(value.shape))

    def reset(self) -> None:
        self._total.reset()
        self._clients.clear()


class Apm:
    """Adapts the noise to the accuracy of a surrogate attacker.

    A component's noise is `settings.apm` times its vulnerability (see `vulnerability`) for the most readable attribute.
    The noise is added:

    * for a private tensor, to the tensor after each round, in units of the private learning rate;
    * for the latent of a model without private tensors, to contributions to the encoder, in units of the clipping norm.

    Args:
        settings: settings with `apm` > 0.
        plan: the plan, for the clipping norm and the private learning rate.
        task: the manifest.
        attributes: the attributes by name, as far as clients disclose them.
        noise: the noise that is adapted.

    Raises:
        ConfigError: a class has too few clients, or contributions would get noise without being clipped.
    """

    def __init__(
        self,
        settings: EngineSettings,
        plan: Plan,
        task: TaskManifest,
        attributes: Mapping[str, Attribute],
        noise: Noise,
    ) -> None:
        self._budget, self._plan, self._noise = settings.apm, plan, noise
        self._encoder: Sequence[str] = ()
        if not manifest.private(task):
            self._encoder = [name for part in encoder(task) for name in part]
            if not plan.server.clip_norm:
                raise ConfigError(
                    f"apm on {task.model} adds noise to contributions, which needs plan.server.clip_norm above 0"
                )
        clients = len(next(iter(attributes.values())).labels)
        share, most = SHADOW
        drawn = public_randomness.generator("shadow", settings.seed).permutation(clients)
        self.shadow: Members = np.sort(drawn[: min(most, round(share * clients))])
        self._attributes = [Attribute(full.classes, full.labels[self.shadow]) for full in attributes.values()]
        for name, attribute in zip(attributes, self._attributes, strict=True):
            counts = attribute.counts()
            if counts.min() < FOLDS:
                raise ConfigError(
                    f"apm's surrogate attacker needs {FOLDS} clients of each class of {name} among the "
                    f"{len(self.shadow)} that it learns from; there are {counts.tolist()}"
                )

    def adapt(self, states: Mapping[str, Column]) -> dict[str, float]:
        """Sets the noise of the next rounds.

        Args:
            states: the components of every client, (clients, ...): the private tensors, or the latent.

        Returns:
            The vulnerability of each component.
        """
        vulnerabilities = {name: self._vulnerability(value[self.shadow]) for name, value in states.items()}
        budget = self._budget
        if self._encoder:
            deviation = budget * max(vulnerabilities.values()) * self._plan.server.clip_norm
            self._noise.shared = dict.fromkeys(self._encoder, deviation) if deviation else {}
        else:
            unit = self._plan.local.private_learning_rate
            self._noise.private = {name: budget * value * unit for name, value in vulnerabilities.items()}
        return vulnerabilities

    def _vulnerability(self, state: NDArray[np.float32]) -> float:
        return max(vulnerability(state.reshape(len(state), -1), attribute) for attribute in self._attributes)


def vulnerability(features: NDArray[np.float32], attribute: Attribute) -> float:
    """Measures the accuracy of a surrogate attacker for an attribute: 0 at chance or below, 1 without an error.

    The result is (BAcc - 1/classes) / (1 - 1/classes), with the cross-validated balanced accuracy of a logistic
    regression.

    Args:
        features: (users, width).
        attribute: the attribute of the same users.
    """
    from sklearn.linear_model import LogisticRegression  # here, because scikit-learn takes a while to load
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = attribute.labels >= 0
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, class_weight="balanced", max_iter=1000))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    x, y = features[known].astype(np.float64), attribute.labels[known]
    with threadpool_limits(1):
        score = float(cross_val_score(model, x, y, scoring="balanced_accuracy", cv=folds).mean())
    chance = 1 / len(attribute.classes)
    return max(0.0, (score - chance) / (1 - chance))
