"""`python -m scripts.personal quality` and `leakage` print tables in Markdown."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from scripts.personal import leakage, quality
from scripts.personal.crowd import Crowd, Setting
from scripts.personal.leakage import Trained
from scripts.personal.rows import table

STEPS = (0, 1, 5, 20)


def main() -> None:
    """Measures what the command line says."""
    options = _parser().parse_args()
    setting = Setting(
        options.dataset,
        options.data_dir,
        options.item_core,
        options.attribute,
        options.model,
        options.preset,
        options.rounds,
        options.seed,
    )
    print(f"{setting.dataset}, {setting.model}, preset {setting.preset}, {setting.rounds} rounds", flush=True)
    if options.what == "quality":
        _quality(setting, options.folds)
    else:
        _leakage(setting, options.watched, options.splits)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.personal")
    parser.add_argument("what", choices=["quality", "leakage"])
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--item-core", type=int, default=0)
    parser.add_argument("--attribute", default="gender")
    parser.add_argument("--model", default="fedncf")
    parser.add_argument("--preset", default="original")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, default=3, help="of quality: parts into which the users are divided")
    parser.add_argument("--watched", type=int, default=100, help="of leakage: most watched clients of each class")
    parser.add_argument("--splits", type=int, default=2, help="of leakage: splits of attackers that learn")
    return parser


def _quality(setting: Setting, folds: int) -> None:
    heads = ("who recommends", "HR@10", "NDCG@10", "standard error of HR", "ms a step", "processor ms a step")
    print(table(heads, (_figures(row) for row in quality.measure(setting, STEPS, folds))))


def _figures(row: quality.Row) -> Sequence[object]:
    metrics = row.ranks.metrics()
    hits = metrics["hr@10"]
    error = float(np.sqrt(hits * (1 - hits) / len(row.ranks.sampled)))
    times = [f"{1000 * np.median(times):.1f}" if len(times) else "" for times in (row.seconds, row.cpu)]
    return (row.what, hits, metrics["ndcg@10"], error, *times)


def _leakage(setting: Setting, watched: int, splits: int) -> None:
    crowd = Crowd(replace(setting, balance=True))
    joined = {steps: leakage.train(crowd, steps, watched, splits) for steps in STEPS}
    heads = ("attack", "contributions", "personal steps before each", "success", "null", "95% of nulls")
    print(table(heads, _uploads(joined)), flush=True)
    columns = ("private state", "personal steps", "NDCG@10", "attacker", "success", "null", "95% of nulls")
    print(table(columns, _private(joined, splits)))


def _uploads(joined: dict[int, Trained]) -> Iterator[Sequence[object]]:
    for steps, trained in joined.items():
        for finding in trained.findings:
            score = finding.score
            yield finding.attack, finding.participations, steps, score.success, score.null_mean, score.null_p95


def _private(joined: dict[int, Trained], splits: int) -> Iterator[Sequence[object]]:
    apart = joined[0]
    states = {("joined, trained", steps): trained for steps, trained in joined.items() if steps}
    for fresh, unlearn in product((False, True), (True, False)):
        what = f"apart, {'new devices' if fresh else 'trained'}, {'unlearning' if unlearn else 'not unlearning'}"
        numbers = STEPS if unlearn else STEPS[1:]
        states |= {
            (what, n): each for n, each in zip(numbers, leakage.personal(apart, numbers, fresh, unlearn), strict=True)
        }
    for (what, steps), trained in states.items():
        for attacker in ("paper", "strong"):
            score = leakage.thief(trained, attacker, splits)
            yield what, steps, trained.ndcg, attacker, score.success, score.null_mean, score.null_p95


if __name__ == "__main__":
    main()
