"""Says in words where training has made an attribute more readable than its Original."""

from collections.abc import Mapping
from typing import Any

from simulator.reporting.leaks import change, leak_of

STATES = {"largest": "the embedding", "largest_all": "all private state"}
"""The attacks that are compared: the largest family's on each state."""


def changes(
    metrics: Mapping[str, Any], original: Mapping[str, Any], comparisons: int, prefix: str = ""
) -> dict[str, str]:
    """Compares the largest family's figures of a run with those of its Original, see `leaks.change`.

    Args:
        metrics: of the run, or the row of a table that has the same names.
        original: of the Original.
        comparisons: number of runs that are compared together.
        prefix: of the attribute's metrics.

    Returns:
        `more`, `less` or nothing by name of the attack; without those that one of the runs does not have.
    """
    pairs = {name: (leak_of(metrics, name, prefix), leak_of(original, name, prefix)) for name in STATES}
    return {
        name: change(ours, theirs, comparisons * len(STATES))
        for name, (ours, theirs) in pairs.items()
        if ours is not None and theirs is not None
    }


def more_readable(
    metrics: Mapping[str, Any], original: Mapping[str, Any], attribute: str, comparisons: int, prefix: str = ""
) -> list[str]:
    """Returns a sentence for each state that the largest family reads more from than from the Original's.

    Args:
        metrics: see `changes`.
        original: see `changes`.
        attribute: its name.
        comparisons: see `changes`.
        prefix: see `changes`.
    """
    return [
        f"This training makes {attribute} more readable in {STATES[name]}: the largest family reads "
        f"{metrics[f'{prefix}bacc_{name}']:.3f}, and {original[f'{prefix}bacc_{name}']:.3f} from the Original."
        for name, how in changes(metrics, original, comparisons, prefix).items()
        if how == "more"
    ]
