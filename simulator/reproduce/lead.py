"""An experiment in words, as its report begins."""

from collections.abc import Iterator, Sequence

import pandas as pd

from simulator.reproduce import compared
from simulator.reproduce.experiments import ORIGINAL
from simulator.reproduce.results import GROUP

_NEEDED = ("bacc_largest", "bacc_largest_null")


def sentences(summary: pd.DataFrame, frame: pd.DataFrame) -> Iterator[str]:
    """Says what was trained, which method recommends best, and what leaks beside its null.

    Args:
        summary: of one group, from `results.summarise`.
        frame: of all runs, from `results.collect`.
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
    if set(_NEEDED) <= set(known.columns):
        yield from _leaks(known.dropna(subset=[*_NEEDED]), str(attribute))
        yield from _changes(compared.methods(frame[(frame[GROUP] == summary[GROUP].iloc[0]).all(axis=1)]))


def _leaks(known: pd.DataFrame, attribute: str) -> Iterator[str]:
    """Says what the largest family reads from the embedding of the Original, and from how many others nothing."""
    original = known["method"].str.startswith(ORIGINAL)
    for _, row in known[original].head(1).iterrows():
        yield (
            f"From the embedding of the Original the largest family reads {attribute} with {row['bacc_largest']:.3f} "
            f"beside a null of {row['bacc_largest_null']:.3f}."
        )
    others = known[~original]
    if not others.empty:
        within = int((others["bacc_largest"] <= others["bacc_largest_null"]).sum())
        yield f"It reads no more than chance gives from {within} of {len(others)} other methods."


def _changes(methods: Sequence[compared.Compared]) -> Iterator[str]:
    """Says which methods leak less or more than their Originals."""
    changes = {method.method: method.change() for method in methods}
    for change in ("less", "more"):
        if names := [name for name, how in changes.items() if how == change]:
            yield f"Of {', '.join(names)} it reads {change} than of the Original, beyond what the nulls vary by."
    if changes and not any(changes.values()):
        yield "From no method it reads less or more than from the Original, beyond what the nulls vary by."
