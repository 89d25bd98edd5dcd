"""Runs of `reproduce table1` as the tables of docs/results/: `python scripts/results_table.py RUNS_FOLDER...`.

Of each recommender, data set and attribute a table with a row for each method: means and standard deviations over its
finished seeds, and the p-value of the paired t-test over seeds.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from simulator.statistics import over_seeds

_GROUP = ["model", "dataset", "attribute"]
_HEADER = ["method", "seeds", "NDCG@10 (each seed)", "change", "p, seeds", "HR@10"]
_ATTACKED = {"bacc_paper": "paper, embedding", "bacc_strong": "strong, embedding"}
_ALL = {"bacc_paper_all": "paper, all", "bacc_strong_all": "strong, all"}
_READ = {"leak_dlg": "DLG", "leak_analytic": "direct, 1", "leak_analytic_5": "5", "leak_analytic_20": "20"}


def tables(folder: Path) -> Iterator[str]:
    """Markdown, of the metrics in a folder's `results.parquet`."""
    runs = pd.read_parquet(folder / "results.parquet")
    runs = runs[runs["status"] == "done"]
    for (model, dataset, attribute), group in runs.groupby(_GROUP, sort=False):
        kept = not group["bacc_strong_all"].equals(group["bacc_strong"])  # private state, not what is attacked anyway
        yield f"\n{model}, {dataset}, {attribute}\n"
        yield from _table([*_HEADER, *(_ATTACKED | (_ALL if kept else {})).values(), "null p95"], _methods(group, kept))
        read = group.dropna(subset=["leak_dlg"]) if "leak_dlg" in group else group[:0]
        if len(read):
            yield ""
            yield from _table(["method", *_READ.values()], _reading(read))


def _methods(group: pd.DataFrame, kept: bool) -> Iterator[list[str]]:
    by_run = group.set_index("run")
    for name, own in group.groupby("method", sort=False):
        seeds = own.sort_values("seed")
        scores = seeds["ndcg@10"]
        originals = by_run["ndcg@10"].reindex(seeds["original"])
        score, against = scores.mean(), originals.mean()
        each = ", ".join(f"{value:.3f}" for value in scores)
        change = "" if str(name).startswith("original") or pd.isna(against) else f"{100 * (score / against - 1):+.1f}%"
        p = over_seeds(scores, originals) if change else float("nan")
        cells = [
            f"`{name}`",
            ", ".join(map(str, seeds["seed"])),
            f"{score:.3f} ({each})",
            change,
            "" if pd.isna(p) else "<0.001" if p < 0.001 else f"{p:.3f}",
        ]
        figures = [_figure(seeds[column]) for column in ("hr@10", *_ATTACKED, *(_ALL if kept else {}))]
        null = seeds.filter(like="bacc_null_p95_").max(axis=1).mean()  # the largest of a run's
        yield [*cells, *figures, f"{null:.3f}"]


def _figure(values: "pd.Series[float]") -> str:
    """The mean, of several seeds with their standard deviation."""
    return f"{values.mean():.3f}" + (f" ± {values.std():.3f}" if len(values) > 1 else "")


def _reading(group: pd.DataFrame) -> Iterator[list[str]]:
    for name, own in group.groupby("method", sort=False):
        yield [f"`{name}`", *(f"{own[column].mean():.2f}" for column in _READ)]


def _table(header: list[str], rows: Iterator[list[str]]) -> Iterator[str]:
    for cells in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        if not (Path(name) / "results.parquet").is_file():
            sys.exit(f"{name} holds no results.parquet: name a folder that `fedau2-sim reproduce table1` has made")
        print("\n".join(tables(Path(name))))
