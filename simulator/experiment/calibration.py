"""Chooses the grids of secure sums by measuring contributions of a plain run.

The rule: contributions are measured in `ROUNDS` rounds that are spread over the whole run. Each round
gives the `QUANTILE` of a tensor's norms, and the clip is the largest of these. The step is the smallest
power of two with which every number of every clipped contribution fits.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from client_sdk.kernel.training import Task
from export.sums import Policy, TensorGrid
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import erasers, manifest
from fedau2.wire.blobs import Tensors
from fedau2.wire.contributions import Rows, Update
from fedau2.wire.secure import policy as policies
from simulator import gpu
from simulator.config.sections import EngineSettings
from simulator.engines.batched import BatchedEngine
from simulator.errors import ConfigError
from simulator.experiment import assembly, turns
from simulator.population.population import Population

ROUNDS = 20
"""Rounds that are measured."""

CLIENTS = 32
"""Clients that are measured in a round."""

QUANTILE = 0.75

VALUE_BITS = 14


@dataclass
class Sizes:
    """The sizes of a tensor's contributions.

    Attributes:
        norms: L2 norm of each, by round.
        largest: largest absolute value of each, by round.
        share: of the contributions of a round that are not scaled down.
    """

    norms: list[list[float]] = field(default_factory=list)
    largest: list[list[float]] = field(default_factory=list)
    share: float = QUANTILE

    def clip(self) -> float:
        """Returns the norm to which contributions are scaled down; 0 if all were 0."""
        return max((float(np.quantile(norms, self.share)) for norms in self.norms), default=0.0)

    def quantile(self, share: float) -> float:
        """Returns a quantile of the norms of all rounds."""
        return float(np.quantile(np.concatenate([np.zeros(0), *self.norms]), share)) if self.norms else 0.0

    def top(self) -> float:
        """Returns the largest absolute value of all rounds."""
        return max(map(max, self.largest), default=0.0)

    def grid(self, numbers: int, largest_value: int, most: float = math.inf, share: float = 0.0) -> TensorGrid:
        """Returns the integers that carry the tensor.

        Args:
            numbers: of the tensor.
            largest_value: largest absolute value of an integer.
            most: largest clip, in integers; a coarser grid keeps it.
            share: of the noise.
        """
        clip = self.clip()
        pairs = (pair for both in zip(self.norms, self.largest, strict=True) for pair in zip(*both, strict=True))
        top = max((value * min(1.0, clip / norm) for norm, value in pairs if norm > 0), default=0.0)
        if not (top > 0 and clip > 0):  # nobody sent anything else than 0
            return TensorGrid(exponent=0, clip=max(1, int(min(largest_value, most))), noise_share=share)
        exponent = math.floor(min(math.log2(largest_value / top), math.log2(most / clip)))
        exponent = max(-policies.MOST_EXPONENT, min(policies.MOST_EXPONENT, exponent))
        within = self._within(math.ldexp(clip, exponent), numbers, largest_value)
        return TensorGrid(exponent=exponent, clip=within, noise_share=share)

    @staticmethod
    def _within(clip: float, numbers: int, largest_value: int) -> int:
        return max(1, min(int(clip), math.isqrt(numbers * largest_value**2)))


@dataclass(frozen=True)
class Calibration:
    """The measurements of a run.

    Attributes:
        clients: in all.
        sizes: by tensor.
        touched: rows of the catalogue that contributions touched.
    """

    clients: int
    sizes: Mapping[str, Sizes]
    touched: Sequence[int]

    def policy(self, settings: EngineSettings, task: TaskManifest) -> Policy:
        """Chooses the policy for sums of whole cohorts, which secure sums must have room for.

        Raises:
            ConfigError: a client would take part in more rounds than it may.
        """
        cohort = assembly.cohort_size(settings, self.clients)
        largest_value, noise = 2 ** (VALUE_BITS - 1) - 1, settings.noise_multiplier
        modulus_bits = policies.modulus_for(VALUE_BITS, cohort)
        numbers = {name: math.prod(spec.shape) for name, spec in sorted(manifest.shared(task).items())}
        shares = noise_shares(numbers) if noise else dict.fromkeys(numbers, 0.0)
        most = {
            name: policies.largest_deviation(modulus_bits) * shares[name] / noise if noise else math.inf
            for name in numbers
        }
        return Policy(
            modulus_bits=modulus_bits,
            value_bits=VALUE_BITS,
            minimum=cohort,
            row_threshold=0 if noise else settings.row_threshold,
            max_participations=turns.participations(settings, self.clients, cohort),
            noise_multiplier=noise,
            touched_rows=float(np.mean(self.touched)) if any(self.touched) else 1.0,
            grids={
                name: self.sizes[name].grid(count, largest_value, most[name], shares[name])
                for name, count in numbers.items()
            },
        )


def noise_shares(numbers: Mapping[str, int]) -> dict[str, float]:
    """Returns each tensor's share of the noise: its square grows with the root of the tensor's size.

    So the noise beside a contribution is nearly the same in large and in small tensors.
    """
    roots = {name: math.sqrt(count) for name, count in numbers.items()}
    total = math.fsum(roots.values())
    return {name: float(np.float32(math.sqrt(root / total))) for name, root in roots.items()}


def calibrate(
    settings: EngineSettings,
    task: TaskManifest,
    checkpoint: Tensors,
    population: Population,
    advance: Callable[[], None] = lambda: None,
) -> Calibration:
    """Trains a plain run, and measures some of its contributions.

    Args:
        settings: rounds, cohorts, workers, kernel and device.
        task: the manifest, without a policy.
        checkpoint: initial shared tensors.
        population: the clients, before their first round; training changes their state.
        advance: called after each round.

    Raises:
        ConfigError: the plan has passes, and the rounds are so few that the recommender moves in the first alone.
    """
    cycle = task.plan.server.passes + 1
    if 1 < cycle >= settings.rounds:
        raise ConfigError(
            f"with server.passes {cycle - 1}, {settings.rounds} rounds move the recommender once, and contributions to "
            f"later ones may be larger: train at least {cycle + 1} rounds to measure them"
        )
    # Where large states were scaled down, sums for an erasure would be those of other users than it is for.
    whole = erasers.tensors(task.plan)
    sizes = {name: Sizes(share=1.0 if name in whole else QUANTILE) for name in manifest.shared(task)}
    touched: list[int] = []
    device = gpu.device(settings.device)
    engine = BatchedEngine(task, checkpoint, population, settings.workers, kernel=settings.kernel, device=device)
    # In a pass a client says nothing of the recommender, so rounds are measured that move it.
    spread = np.linspace(0, settings.rounds - 1, min(ROUNDS, settings.rounds)).astype(int)
    measured = set((spread - spread % cycle).tolist())
    for number in range(settings.rounds):
        members = assembly.cohort(settings, number, len(population))
        if number in measured:
            loaded = Task.load(task, engine.checkpoint)
            sent = [population.contribution(loaded, number, member) for member in members[:CLIENTS].tolist()]
            touched += map(_touched, sent)
            for name, of_tensor in sizes.items():
                values = [_values(update[name]) for update in sent if name in update]
                of_tensor.norms.append([float(np.linalg.norm(value)) for value in values] or [0.0])
                of_tensor.largest.append([float(np.abs(value).max(initial=0)) for value in values] or [0.0])
        engine.train_round(members)
        advance()
    return Calibration(len(population), sizes, touched)


def _values(update: Update) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return np.ravel(update.values if isinstance(update, Rows) else update).astype(np.float64)


def _touched(contribution: Mapping[str, Update]) -> int:
    rows = [update.indices for update in contribution.values() if isinstance(update, Rows)]
    return len(np.unique(np.concatenate(rows))) if rows else 0
