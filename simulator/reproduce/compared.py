"""The methods of a group beside their matched Originals, in the mean over seeds."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from simulator.reporting import written
from simulator.reproduce.results import GROUP


@dataclass(frozen=True)
class Compared:
    """The figures of the largest family, of the runs of a method and of their Originals.

    Attributes:
        model: the recommender.
        attribute: the first one.
        method: its name.
        ours: figures of the method by name of the metric.
        theirs: those of the Originals.
        together: number of methods of the group that are compared.
    """

    model: str
    attribute: str
    method: str
    ours: Mapping[str, float]
    theirs: Mapping[str, float]
    together: int

    def change(self) -> str:
        """Returns `more` or `less` if the embedding leaks more or less than the Original's; else nothing."""
        return written.changes(self.ours, self.theirs, self.together).get("largest", "")

    def more_readable(self) -> list[str]:
        """Says where the method makes the attribute more readable."""
        return written.more_readable(self.ours, self.theirs, self.attribute, self.together)


def methods(frame: pd.DataFrame) -> list[Compared]:
    """Compares each method that has Originals, unless a run of it has failed.

    Args:
        frame: from `results.collect`.
    """
    runs, compared = frame.set_index("run"), []
    for (model, _, attributes), group in frame.groupby(GROUP, sort=False):
        pairs = {str(method): _means(part, runs) for method, part in group.groupby("method", sort=False)}
        known = {method: pair for method, pair in pairs.items() if "bacc_largest" in pair[1]}
        first = str(attributes).split(",")[0]
        compared += [Compared(str(model), first, method, *pair, len(known)) for method, pair in known.items()]
    return compared


def _means(part: pd.DataFrame, runs: pd.DataFrame) -> tuple[dict[str, float], dict[str, float]]:
    figures = part.filter(like="largest").select_dtypes("number").dropna(axis=1)
    originals = runs.reindex(part["original"])[figures.columns].dropna(axis=1)
    ours, theirs = ({str(name): float(mean) for name, mean in known.mean().items()} for known in (figures, originals))
    return ours, theirs
