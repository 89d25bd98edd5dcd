"""Runs of recommenders as the table of docs/results/models.md: `python -m scripts.models_table RUN_FOLDER...`.

Each run has a row: the quality of its recommendations, the success of the strong attacker on all private state, and the
gap between two groups of users. The brackets behind an attack hold the 95th percentile of its null, and a figure above
it is bold. Those behind a gap hold its 95% interval.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator.config.config import Config
from simulator.reporting import words
from simulator.reporting.groups import GROUPS
from simulator.reproduce.results import null_of

_HEADER = (
    "data set",
    "recommender",
    "method",
    "rounds",
    "seed",
    "NDCG@10",
    "HR@10",
    "BAcc, strong",
    "AUC, strong",
    "gap",
)


def table(folders: Sequence[Path]) -> Iterator[str]:
    """Formats runs as Markdown."""
    for cells in (_HEADER, ["---"] * len(_HEADER), *map(_row, folders)):
        yield f"| {' | '.join(cells)} |"


def _row(folder: Path) -> list[str]:
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    config = Config.of(metrics["configuration"])
    run = config.data.dataset, config.plan.model.name, words.label(config), config.engine.rounds, config.engine.seed
    quality = [f"{metrics[name]:.3f}" for name in ("ndcg@10", "hr@10")]
    attacks = [_attack(metrics, name) for name in ("bacc_strong_all", "auc_strong_all")]
    return [*map(str, run), *quality, *attacks, _gap(metrics, config.data.attributes[0])]


def _attack(metrics: Mapping[str, Any], name: str) -> str:
    reached, null = f"{metrics[name]:.3f}", metrics[null_of(name)]
    return f"{f'**{reached}**' if metrics[name] > null else reached} ({null:.3f})"


def _gap(metrics: Mapping[str, Any], attribute: str) -> str:
    groups = metrics[GROUPS][attribute]["metrics"]["ndcg@10"].values()
    gaps = [
        f"{group['gap']:+.3f} ({group['gap_low']:.3f} to {group['gap_high']:.3f})" for group in groups if "gap" in group
    ]
    return ", ".join(gaps)


if __name__ == "__main__":
    print("\n".join(table([Path(name) for name in sys.argv[1:]])))
