"""Measures how well new items are recommended at once, with and without features: `python -m scripts.new_items`.

A share of MovieLens 100K's films is new. A model is trained without them, and a successor adds them: drawn, or
predicted from their genres. The figure is the NDCG@10, among the new films, of those that a user has seen and that no
training has used. The table shows it at once and after further rounds.
"""

import argparse
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

import export
import simulator
from client_sdk.protocol.values import PrivateState
from export.bundle import Bundle
from export.features import Vector
from export.plan.message import plan_of
from fedau2.wire import blobs, manifest
from fedau2.wire.succession import Succession
from simulator.engines.batched import BatchedEngine
from simulator.evaluation.scoring import Scorer
from simulator.population.population import Population

K = 10
RARE = 10
"""Fewest users of a new film; a film that hardly anybody has seen says nothing."""


@dataclass(frozen=True, eq=False)
class Data:
    """The interactions, divided.

    Attributes:
        old: films of the first catalogue.
        new: further films of the second.
        train: for each user, ids of all films that training may use.
        held: for each user, ids of new films that are held out.
    """

    old: Sequence[str]
    new: Sequence[str]
    train: Sequence[Sequence[str]]
    held: Sequence[Sequence[str]]

    def rows(self, items: Sequence[str]) -> list[NDArray[np.int64]]:
        """Returns each user's training films as rows of a catalogue."""
        places = {item: row for row, item in enumerate(items)}
        return [np.array(sorted(places[i] for i in films if i in places), np.int64) for films in self.train]


def divide(dataset: "simulator.Dataset", share: float, rng: np.random.Generator) -> Data:
    """Draws the new films, and holds a half of the interactions with them out."""
    counts = np.bincount(dataset.item, minlength=len(dataset.items))
    known = np.flatnonzero(counts >= RARE)
    new = {dataset.items[row] for row in rng.choice(known, int(share * len(known)), replace=False)}
    train: list[list[str]] = [[] for _ in dataset.users]
    held: list[list[str]] = [[] for _ in dataset.users]
    for user, row in zip(dataset.user, dataset.item, strict=True):
        item = dataset.items[row]
        (held if item in new and rng.random() < 0.5 else train)[user].append(item)
    return Data([item for item in dataset.items if item not in new], sorted(new), train, held)


def genres(folder: Path) -> dict[str, Vector]:
    """Reads the genres of MovieLens 100K's films."""
    path = folder / "ml-100k" / "u.item"
    data = path.read_bytes() if path.exists() else gzip.decompress(path.with_suffix(".item.gz").read_bytes())
    lines = [line.split("|") for line in data.decode("latin-1").splitlines()]
    return {line[0]: tuple(map(float, line[-19:])) for line in lines}


class Trainer:
    """Trains a bundle's model, a tenth of the users in each round.

    Args:
        bundle: the task.
        population: the users.
        first: number of the first round.
        seed: of the cohorts.
    """

    def __init__(self, bundle: Bundle, population: Population, first: int, seed: int) -> None:
        self.engine = BatchedEngine(bundle.manifest, blobs.unpack(bundle.blob(bundle.manifest.checkpoint)), population)
        self.engine.restore(self.engine.snapshot(), first)
        self._able = np.array([user for user, rows in enumerate(population.interactions) if len(rows)])
        self._rng = np.random.default_rng(seed)

    def train(self, rounds: int) -> None:
        """Trains some rounds more."""
        for _ in range(rounds):
            self.engine.train_round(self._rng.choice(self._able, max(1, len(self._able) // 10), replace=False))


def carried(bundle: Bundle, data: Data, old: PrivateState, seed: int) -> Population:
    """The users of a successor, with the state that they carry over."""
    items = [*data.old, *data.new]
    population = Population.create(bundle.manifest, seed, data.rows(items), {})
    way = Succession.of(data.old, items)
    for part in ("values", "first", "second"):
        columns = getattr(population.state, part)
        for spec in manifest.private(bundle.manifest):
            value = way.carried(spec, getattr(old, part)[spec.name], columns[spec.name])
            assert value is not None
            columns[spec.name][:] = value
    population.state.steps[:] = old.steps
    return population


def ndcg(engine: BatchedEngine, bundle: Bundle, population: Population, data: Data) -> float:
    """The mean NDCG@10 of held-out films among the new ones, over the users that have some."""
    first = len(data.old)
    places = {item: row for row, item in enumerate(data.new)}
    scorer = Scorer(bundle.manifest, engine.checkpoint, population.state.values, population.interactions)
    gains = 1 / np.log2(np.arange(2, K + 2))
    figures = []
    for user, films in enumerate(data.held):
        if not films:
            continue
        scores = scorer(np.array([user]))[0, first:]
        seen = population.interactions[user]
        scores[seen[seen >= first] - first] = -np.inf
        best = np.argsort(-scores, kind="stable")[:K]
        relevant = {places[film] for film in films}
        reached = sum(gain for gain, row in zip(gains, best, strict=True) if row in relevant)
        figures.append(reached / gains[: len(relevant)].sum())
    return float(np.mean(figures))


def measure(
    model: str, data: Data, described: Mapping[str, Vector], rounds: int, further: Sequence[int], seed: int
) -> None:
    """Trains, makes both successors and prints their figures."""
    plan = plan_of(model, {"adversaries": []})
    start = export.build(model, data.old, plan, seed, training=False)
    population = Population.create(start.manifest, seed, data.rows(data.old), {})
    trainer = Trainer(start, population, 0, seed)
    trainer.train(rounds)
    checkpoint = blobs.pack(trainer.engine.checkpoint)
    start.manifest.checkpoint.CopyFrom(blobs.resource(checkpoint))
    trained = Bundle(start.manifest, {**start.blobs, blobs.sha256(checkpoint): checkpoint})
    old = population.take(np.arange(len(population)))
    with TemporaryDirectory() as beside:
        folder = Path(beside) / "trained"
        export.write(trained, folder)
        for name, features in (("drawn", None), ("predicted from genres", described)):
            bundle, _ = export.succeed(folder, [*data.old, *data.new], seed, described=features)
            users, line, done = carried(bundle, data, old, seed), list[str](), 0
            trainer = Trainer(bundle, users, rounds, seed + 1)
            for total in further:
                trainer.train(total - done)
                done = total
                line.append(f"{ndcg(trainer.engine, bundle, users, data):.3f}")
            print(f"| {model} | {name} | {' | '.join(line)} |", flush=True)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="measures the NDCG of new items")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds ml-100k")
    parser.add_argument("--models", nargs="+", default=["fedncf", "fedrap", "fedvae"])
    parser.add_argument("--rounds", type=int, default=300, help="rounds before the new films come")
    parser.add_argument("--further", type=int, nargs="+", default=[0, 10, 50], help="rounds after that")
    parser.add_argument("--share", type=float, default=0.1, help="share of new films")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    data = divide(simulator.load_dataset("ml-100k", args.data_dir), args.share, np.random.default_rng(args.seed))
    described = genres(args.data_dir)
    print(f"| model | new films | {' | '.join(f'after {rounds} rounds' for rounds in args.further)} |")
    print("|---|---|" + "---|" * len(args.further))
    for model in args.models:
        measure(model, data, described, args.rounds, args.further, args.seed)


if __name__ == "__main__":
    main()
