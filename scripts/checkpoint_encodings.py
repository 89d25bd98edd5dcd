"""Measures what the encodings of checkpoints cost in quality and save in bytes: trains each recommender with each.

No attacker is run. `top-10 kept` compares, in the state of one run, the lists of the encoded checkpoint with those of
the exact one, so it shows the loss of recommending alone. The tables of bytes are of the run's last two checkpoints.
"""

import argparse
import tempfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.training import CohortTraining, Task
from fedau2.wire import contributions, encodings
from fedau2.wire.blobs import Tensors
from simulator.config import presets
from simulator.config.config import Config
from simulator.engines.engine import RoundEngine, RoundReport, WrappedEngine
from simulator.experiment.train import Trained, train
from simulator.population.population import Members

RECOMMENDERS = ("fedncf", "fedvae", "fedrap")
TOP = 10
LEVEL = 6  # of zlib


class _Silent:
    def start(self, what: str, total: int, done: int = 0) -> None:
        """Shows nothing."""

    def advance(self, text: str = "") -> None:
        """Shows nothing."""


class _Last(WrappedEngine):
    """Keeps the last two checkpoints."""

    def __init__(self, engine: RoundEngine) -> None:
        super().__init__(engine)
        self.before: Tensors = {}

    def train_round(self, members: Members) -> RoundReport:
        """Trains a round."""
        self.before = self.checkpoint
        return self._engine.train_round(members)


def main() -> None:
    """Trains, and prints a row for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs="*", choices=RECOMMENDERS, default=RECOMMENDERS)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--rounds", type=int, help="rounds of each run (default: the recommender's own)")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()
    print("| recommender | checkpoints | seed | NDCG@10 | top-10 kept | bytes | with zlib |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for model in options.model:
        for seed in options.seeds:
            _report(model, seed, options)


def _report(model: str, seed: int, options: argparse.Namespace) -> None:
    for name, encoding in encodings.NAMES.items():
        trained, last = _train(model, name, seed, options)
        ndcg = trained.evaluation.test(trained.best.checkpoint, trained.best.private)["ndcg@10"]
        statistics = encodings.exact(trained.bundle.manifest)
        data = encodings.encode(last.checkpoint, encoding, statistics)
        if name == "float32":
            exact, engine = trained, last
        kept = _kept(exact, encodings.decode(encodings.encode(exact.best.checkpoint, encoding, statistics)))
        print(
            f"| {model} | {name} | {seed} | {ndcg:.4f} | {kept:.1%} | {len(data):,} | {_smaller(data):.1%} |",
            flush=True,
        )
    _describe(model, exact, engine)


def _train(model: str, encoding: str, seed: int, options: argparse.Namespace) -> tuple[Trained, _Last]:
    settings = {"plan.model.name": model, "data.dataset": options.dataset, "engine.seed": seed}
    settings |= {"engine.checkpoints": encoding} | ({"engine.rounds": options.rounds} if options.rounds else {})
    kept: list[_Last] = []

    def wrap(engine: RoundEngine, *_: object) -> RoundEngine:
        kept.append(_Last(engine))
        return kept[-1]

    with tempfile.TemporaryDirectory() as folder:
        config = Config.of(presets.preset("original", model), settings)
        return train(config, Path(folder) / "run", options.data_dir, _Silent(), wrap=wrap), kept[0]


def _kept(trained: Trained, checkpoint: Tensors) -> float:
    """Returns the mean share of each user's ten best items that another checkpoint gives too."""
    users = np.arange(len(trained.population))
    lists = []
    for tensors in (trained.best.checkpoint, checkpoint):
        scores = trained.evaluation.scorer(tensors, trained.best.private)(users)
        for user, seen in enumerate(trained.evaluation.split.train):
            scores[user, seen] = -np.inf
        lists.append(np.argsort(-scores, axis=1, kind="stable")[:, :TOP])
    return float(np.mean([len(np.intersect1d(one, other)) / TOP for one, other in zip(*lists, strict=True)]))


def _describe(model: str, trained: Trained, engine: _Last) -> None:
    """Prints what a delta of changed rows, and compressed contributions, would save."""
    changed = [
        np.any(after.reshape(len(after), -1) != engine.before[name].reshape(len(after), -1), axis=1).mean()
        for name, after in engine.checkpoint.items()
        if after.ndim > 1
    ]
    sent = _contribution(trained, engine)
    print(
        f"{model}: {np.mean(changed):.1%} of the rows change in a round; a contribution has {len(sent):,} bytes, "
        f"{_smaller(sent):.1%} with zlib",
        flush=True,
    )


def _contribution(trained: Trained, engine: _Last) -> bytes:
    members: NDArray[np.int64] = np.array([0])
    task, bundle = Task.load(trained.bundle.manifest, engine.checkpoint), trained.bundle
    cohort = trained.population.cohort(bundle.manifest, 0, members)
    (contribution,) = CohortTraining(task, 0, cohort, summed=False).run().contributions()
    return contributions.encode(contribution)


def _smaller(data: bytes) -> float:
    return len(zlib.compress(data, LEVEL)) / len(data)


if __name__ == "__main__":
    main()
