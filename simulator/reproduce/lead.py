"""An experiment in words, as its report begins."""

from collections.abc import Iterator

import pandas as pd

from simulator.reproduce.experiments import ORIGINAL
from simulator.reproduce.results import GROUP


def sentences(summary: pd.DataFrame) -> Iterator[str]:
    """Says what was trained, which method recommends best, and what leaks beside its null.

    Args:
        summary: of one group, from `results.summarise`.
    """
    model, dataset, attribute = summary[GROUP].iloc[0]
    known = summary.dropna(subset=["ndcg@10"]) if "ndcg@10" in summary else summary[:0]
    if known.empty:
        yield f"{model} on {dataset}: no run has finished."
        return
    runs = int((known["runs"] - known["failed"]).sum())
    best = known.sort_values("ndcg@10", kind="stable", ascending=False).iloc[0]
    yield (
        f"{model} was trained on {dataset} by {len(known)} methods in {runs} runs. Of them {best['method']} recommends "
        f"best, with NDCG@10 {best['ndcg@10']:.3f}."
    )
    if {"bacc_strong", "bacc_strong_null"} <= set(known.columns):
        yield from _leaks(known.dropna(subset=["bacc_strong", "bacc_strong_null"]), attribute)


def _leaks(known: pd.DataFrame, attribute: str) -> Iterator[str]:
    """Says of the strong attacker on the embedding which methods stay below its null, and what of the Original."""
    original = known["method"].str.startswith(ORIGINAL)
    for _, row in known[original].head(1).iterrows():
        yield (
            f"From the embedding of the Original the strong attacker reads {attribute} with {row['bacc_strong']:.3f} "
            f"beside a null of {row['bacc_strong_null']:.3f}."
        )
    others = known[~original]
    if others.empty:
        return
    excess = others["bacc_strong"] - others["bacc_strong_null"]
    least = others.iloc[int(excess.to_numpy().argmin())]
    within = int((excess <= 0).sum())
    yield (
        f"Of {len(others)} other methods {within} leak no more than chance to it; least leaks {least['method']}: "
        f"{least['bacc_strong']:.3f} beside {least['bacc_strong_null']:.3f}."
    )
    if original.any():
        base = known[original].iloc[0]
        less = int((excess < base["bacc_strong"] - base["bacc_strong_null"]).sum())
        yield f"The Original leaks less than {len(others) - less} of them."
