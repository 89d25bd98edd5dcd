"""Measures what one contribution at the largest allowed values does to a model, by the bound of contributions' norms.

    python scripts/poison.py fedncf --data-dir data

A run of the batched engine is trained. Then it goes on for some rounds in several ways: undisturbed, and with one
contribution of the next round replaced by values of random signs, as large as they may be. Contributions have no bound
there, or the clip norm, or the clip norm and some running medians of all norms. The first table has percentiles of
honest contributions' L2 norms, the second the ranking on the validation items.
"""

import argparse
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from coordinator.aggregation.aggregators import Aggregator
from coordinator.aggregation.clip import norm
from coordinator.errors import AggregationError
from export.bundle import Bundle, from_plan
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs, fixed, manifest
from fedau2.wire.contributions import Update
from simulator.config.config import Config
from simulator.datasets.split import leave_one_out
from simulator.engines.batched import BatchedEngine
from simulator.evaluation.held_out import Evaluation
from simulator.experiment import assembly, run_data
from simulator.population.population import Population
from simulator.unlearning.baselines import Noise

POINTS = (0, 1, 5, 10, 20)
"""Rounds from the poisoned one on at which the model is evaluated."""

NO_NORM, MANY = 1e30, 1e6
"""A clip norm, and a number of running medians, that no contribution reaches: the norms are only remembered."""


@dataclass(eq=False)
class Observer(Noise):
    """Sees every contribution, and may replace one.

    Attributes:
        norms: L2 norms of the honest contributions so far.
        poison: is added instead of the next contribution; None: nothing is replaced.
    """

    norms: list[float] = field(default_factory=list)
    poison: Mapping[str, Update] | None = None

    def noisy(self, total: Aggregator, round_number: int) -> Aggregator:
        """Wraps an aggregator. The engine trains one client at a time then, because the wrapper is not a `Mean`."""
        return _Observed(total, self)


class _Observed:
    def __init__(self, total: Aggregator, observer: Observer) -> None:
        self._total, self._observer = total, observer
        self.mean, self.variances, self.reset = total.mean, total.variances, total.reset
        self.remembered = total.remembered

    def merge(self, other: "_Observed") -> None:
        self._total.merge(other._total)

    def add(self, contribution: Mapping[str, Update], *, largest: float | None = None, factor: float = 1.0) -> None:
        poison, self._observer.poison = self._observer.poison, None
        if poison is None:
            self._observer.norms.append(norm(contribution))
        self._total.add(contribution if poison is None else poison, largest=largest, factor=factor)


def main() -> None:
    """Trains, goes on in every way, and prints the tables."""
    parser = argparse.ArgumentParser(description="Measures what one contribution does to a model.")
    parser.add_argument("model", help="recommender")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set")
    parser.add_argument("--dataset", default="ml-100k", help="data set (%(default)s)")
    parser.add_argument("--rounds", type=int, default=200, help="rounds before the poisoned one (%(default)s)")
    parser.add_argument("--adversaries", default="all", help="all, as in the paper, or none (%(default)s)")
    parser.add_argument("--clip-norm", type=float, help="default: 4 x the 99th percentile of the honest norms")
    parser.add_argument("--medians", type=float, default=10.0, help="running medians of the last bound (%(default)s)")
    parser.add_argument("--server", choices=("adam", "sgd"), default="adam", help="optimizer (%(default)s)")
    parser.add_argument("--learning-rate", type=float, help="of the server; default: the plan's")
    options = parser.parse_args()
    config = Config.of(
        {
            "plan.model.name": options.model,
            "plan.adversaries": options.adversaries,
            "plan.server.shared.kind": options.server,
            "plan.server.clip_norm": NO_NORM,
            "plan.server.clip_medians": MANY,
            **({} if options.learning_rate is None else {"plan.server.shared.learning_rate": options.learning_rate}),
            "data.dataset": options.dataset,
            "engine.rounds": options.rounds + POINTS[-1],
        }
    )
    trial = Trial.of(config, options.data_dir)
    trial.train(options.rounds)
    tenth = len(trial.observer.norms) // 10
    print("| honest contributions | median | 99% | 99.9% | largest |\n|---|---|---|---|---|")
    for text, norms in (("first tenth", trial.observer.norms[:tenth]), ("all", trial.observer.norms)):
        print(f"| {text} | {' | '.join(f'{value:.3g}' for value in np.percentile(norms, (50, 99, 99.9, 100)))} |")
    clip_norm = options.clip_norm or 4 * float(np.percentile(trial.observer.norms, 99))
    print(f"\n| bound | poisoned | {' | '.join(f'NDCG@10 after {after}' for after in POINTS)} | HR@10 |")
    print("|---" * 8 + "|")
    for clipped, medians in ((0.0, 0.0), (clip_norm, 0.0), (clip_norm, options.medians)):
        for poisoned in (False, True):
            print(trial.branch(clipped, medians, poisoned), flush=True)


@dataclass(eq=False)
class Trial:
    """A run that can go on in several ways.

    Attributes:
        config: of the run.
        bundle: the task.
        population: the clients.
        evaluation: ranks the validation items.
        observer: sees the contributions.
        engine: trains.
        done: rounds so far.
    """

    config: Config
    bundle: Bundle
    population: Population
    evaluation: Evaluation
    observer: Observer
    engine: BatchedEngine
    done: int = 0

    @classmethod
    def of(cls, config: Config, data_dir: Path | None) -> "Trial":
        """Loads the data set and makes the clients."""
        dataset = run_data.dataset_of(config.data, config.engine.seed, data_dir)
        attributes = assembly.attackable(config.data.attributes, dataset)
        split = leave_one_out(dataset, config.evaluation.split)
        bundle = from_plan(assembly.plan_of(config.plan, attributes), dataset.items, config.engine.seed, training=False)
        population = assembly.population_of(bundle, config.engine.seed, split.train, attributes)
        evaluation = Evaluation(bundle.manifest, split)
        checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
        observer = Observer(0)
        engine = BatchedEngine(bundle.manifest, checkpoint, population, 1, observer)
        return cls(config, bundle, population, evaluation, observer, engine)

    def train(self, rounds: int) -> None:
        """Trains some rounds."""
        for _ in range(rounds):
            self.engine.train_round(assembly.cohort(self.config.engine, self.done, len(self.population)))
            self.done += 1

    def branch(self, clip_norm: float, medians: float, poisoned: bool) -> str:
        """Goes on from here in a copy; returns a row of the table."""
        task = TaskManifest.FromString(self.bundle.manifest.SerializeToString())
        task.plan.server.clip_norm, task.plan.server.clip_medians = clip_norm, medians
        population = copy.deepcopy(self.population)
        observer = Observer(0)
        engine = BatchedEngine(task, self.engine.checkpoint, population, 1, observer)
        engine.restore(self.engine.snapshot(), self.done)
        branch = Trial(self.config, self.bundle, population, self.evaluation, observer, engine, self.done)
        observer.poison = self._poison() if poisoned else None
        text = " | ".join(branch._cells())
        bound = f"{clip_norm:.3g}, {medians:g} medians" if medians else f"{clip_norm:.3g}"
        return f"| {bound} | {'yes' if poisoned else 'no'} | {text} |"

    def _cells(self) -> Iterator[str]:
        yield f"{self._metrics()['ndcg@10']:.3f}"
        for before, after in pairwise(POINTS):
            try:
                self.train(after - before)
            except AggregationError:  # honest contributions to such a model are too large to be added
                yield from ["destroyed"] * (len(POINTS) - POINTS.index(after) + 1)
                return
            yield f"{self._metrics()['ndcg@10']:.3f}"
        yield f"{self._metrics()['hr@10']:.3f}"

    def _metrics(self) -> dict[str, float]:
        return self.evaluation.validation(self.engine.checkpoint, self.population.state.values)

    def _poison(self) -> dict[str, Update]:
        rng = np.random.default_rng(0)
        bound = fixed.bound(assembly.cohort_size(self.config.engine, len(self.population)))
        shapes = {name: tuple(spec.shape) for name, spec in manifest.shared(self.bundle.manifest).items()}
        return {
            name: np.where(rng.random(shape) < 0.5, np.float32(-bound), np.float32(bound))
            for name, shape in shapes.items()
        }


if __name__ == "__main__":
    main()
