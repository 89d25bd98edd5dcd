"""Training without sharing: each device trains a whole model on its own records alone, the lower bound of a run."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedau2.wire import blobs
from simulator import gpu
from simulator.config.config import Config
from simulator.datasets import Dataset
from simulator.datasets.split import Split
from simulator.engines.batched import BatchedEngine
from simulator.errors import ConfigError
from simulator.evaluation.ranking import Ranks, rank_all
from simulator.evaluation.scoring import Scorer
from simulator.experiment import assembly, checks, run_data
from simulator.experiment.parts import Parts
from simulator.experiment.trainer import Progress
from simulator.population.population import Population


def train_alone(config: Config, data: Path | Dataset | None, progress: Progress) -> dict[str, float]:
    """Trains each user's model, with the user in every round, and ranks as a run does.

    Args:
        config: the configuration; the parts of it that are about sharing and about attributes have no effect.
        data: where the data set is, see `datasets.load`, or the data set itself.
        progress: receives how many users are done.

    Returns:
        The metrics of ranking on test items, and the `round` at which they were measured: that with the best mean
        NDCG@10 on validation items.

    Raises:
        SimulatorError: the configuration or the data set cannot be used.
    """
    if config.plan.heads() or config.plan.matchings != () or config.plan.erased != ():
        raise ConfigError("who trains alone knows one class and has nobody to match: choose the preset original")
    dataset = run_data.dataset_of(config.data, config.engine.seed, data)
    dataset = run_data.with_positives(dataset, config.plan, config.evaluation.split)
    checks.check(config, dataset)
    parts = Parts.of(config, dataset)
    population = assembly.population_of(
        parts.bundle, config.engine.seed, parts.split.train, parts.known, weights=parts.split.weights
    )
    progress.start("training alone", len(population))
    by_round: dict[int, list[tuple[Ranks, Ranks]]] = {}
    for user in range(len(population)):
        for number, ranks in _of_user(config, parts, population, user):
            by_round.setdefault(number, []).append(ranks)
        progress.advance()
    validation, test = ({n: _metrics(r[part] for r in ranks) for n, ranks in by_round.items()} for part in (0, 1))
    chosen = max(validation, key=lambda number: validation[number]["ndcg@10"])
    return {"round": chosen, **test[chosen]}


def _of_user(
    config: Config, parts: Parts, population: Population, user: int
) -> Iterator[tuple[int, tuple[Ranks, Ranks]]]:
    """Trains a user's model, and yields the round and the ranks of both held-out items at each evaluation."""
    task, members = parts.bundle.manifest, np.array([user])
    checkpoint = blobs.unpack(parts.bundle.blob(task.checkpoint))
    device = gpu.device(config.engine.device)
    with closing(BatchedEngine(task, checkpoint, population, kernel=config.engine.kernel, device=device)) as engine:
        for number in range(1, config.engine.rounds + 1):
            engine.train_round(members)
            if number % config.evaluation.evaluate_every == 0 or number == config.engine.rounds:
                scorer = Scorer(task, engine.checkpoint, population.state.values, parts.split.train, device=device)
                yield number, _ranks(scorer(members), parts.split, user)


def _ranks(scores: NDArray[np.float32], split: Split, user: int) -> tuple[Ranks, Ranks]:
    members, seen = np.array([user]), split.seen(user)
    candidates = split.candidates(members)
    held_out = split.validation[members]
    test = rank_all(lambda _: scores, split.test[members], candidates[1], [np.append(seen, held_out[held_out >= 0])])
    if held_out[0] < 0:
        return test, test  # the split `paper` has no validation items
    return rank_all(lambda _: scores, held_out, candidates[0], [seen]), test


def _metrics(ranks: Iterator[Ranks]) -> Mapping[str, float]:
    parts = list(ranks)
    sampled, full = (np.concatenate([getattr(part, name) for part in parts]) for name in ("sampled", "full"))
    return Ranks(sampled, full).metrics()
