"""Runs of `reproduce table1` as the tables of docs/results/: `python scripts/results_table.py RUNS_FOLDER...`.

One table for each recommender, data set and attribute, with a row for each method: means and standard deviations over
its finished seeds, and the p-value of the paired t-test over seeds. The brackets behind an attack hold its null: the
95th percentile of the same attack on shuffled labels, averaged over seeds. Figures above their null are bold. `largest`
is the family that reads most, and `paper` the paper's attacker.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from simulator.evaluation.statistics import over_seeds, relative
from simulator.reproduce.results import null_of

_GROUP = ["model", "dataset", "attribute"]
_HEADER = ["method", "seeds", "NDCG@10 (each seed)", "change", "p, seeds", "HR@10"]
_ATTACKS = {"bacc_largest": "largest", "auc_largest": "largest, AUC", "bacc_paper": "paper"}
_READ = {"leak_dlg": "DLG", "leak_analytic": "direct, 1", "leak_analytic_5": "5", "leak_analytic_20": "20"}


def tables(folder: Path) -> Iterator[str]:
    """Formats the metrics in a folder's `results.parquet` as Markdown."""
    runs = pd.read_parquet(folder / "results.parquet")
    runs = runs[runs["status"] == "done"]
    for (model, dataset, attributes), group in runs.groupby(_GROUP, sort=False):
        first, *further = str(attributes).split(",")
        for attribute in (first, *further):
            prefix = f"{attribute}/" if attribute in further else ""
            together = f", unlearned together with {', '.join({first, *further} - {attribute})}" if further else ""
            yield f"\n{model}, {dataset}, {attribute}{together}\n"
            attacks = _attacks(group, prefix)
            yield from _table([*_HEADER, *attacks.values()], _methods(group, list(attacks)))
            read = {f"{prefix}{column}": name for column, name in _READ.items()}
            attacked = group.dropna(subset=[*read][:1]) if set(read) <= set(group) else group[:0]
            if len(attacked):
                yield ""
                yield from _table(["method", *read.values()], _reading(attacked, list(read)))


def _attacks(group: pd.DataFrame, prefix: str) -> dict[str, str]:
    """Returns columns of attacks on the embedding and, where there is more than that, on all private state."""
    on = {"": "embedding", "_all": "all"}
    if group[f"{prefix}bacc_strong_all"].equals(group[f"{prefix}bacc_strong"]):
        del on["_all"]
    return {
        f"{prefix}{attack}{end}": f"{name}, {state}" for end, state in on.items() for attack, name in _ATTACKS.items()
    }


def _methods(group: pd.DataFrame, attacks: list[str]) -> Iterator[list[str]]:
    by_run = group.set_index("run")
    for name, runs in group.groupby("method", sort=False):
        seeds = runs.sort_values("seed")
        scores = seeds["ndcg@10"]
        originals = by_run["ndcg@10"].reindex(seeds["original"])
        by_seed = ", ".join(f"{value:.3f}" for value in scores)
        change, p = relative(scores, originals), over_seeds(scores, originals)
        cells = [
            f"`{name}`",
            ", ".join(map(str, seeds["seed"])),
            f"{scores.mean():.3f} ({by_seed})",
            "" if pd.isna(change) else f"{change:+.1%}",
            "" if pd.isna(p) else "<0.001" if p < 0.001 else f"{p:.3f}",
        ]
        yield [*cells, _figure(seeds["hr@10"]), *(_attack(seeds, column) for column in attacks)]


def _figure(values: "pd.Series[float]") -> str:
    """Formats the mean over seeds, with the standard deviation if there are several."""
    return f"{values.mean():.3f}" + (f" ± {values.std():.3f}" if len(values) > 1 else "")


def _attack(seeds: pd.DataFrame, column: str) -> str:
    reached, null = _figure(seeds[column]), seeds[null_of(column)].mean()
    return (f"**{reached}**" if seeds[column].mean() > null else reached) + f" ({null:.3f})"


def _reading(group: pd.DataFrame, columns: list[str]) -> Iterator[list[str]]:
    for name, runs in group.groupby("method", sort=False):
        yield [f"`{name}`", *(f"{runs[column].mean():.2f}" for column in columns)]


def _table(header: list[str], rows: Iterator[list[str]]) -> Iterator[str]:
    for cells in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        if not (Path(name) / "results.parquet").is_file():
            sys.exit(f"{name} holds no results.parquet: give a folder that `fedau2-sim reproduce table1` has written")
        print("\n".join(tables(Path(name))))
