"""Says in words where training has made an attribute more readable than its Original."""

from collections.abc import Mapping
from typing import Any

_STATES = {"": "the embedding", "_all": "all private state"}


def more_readable(
    metrics: Mapping[str, Any], original: Mapping[str, Any], attribute: str, prefix: str = ""
) -> list[str]:
    """Compares the largest family's figures of a run with those of its Original.

    A figure counts as higher if it is above its null, and above the Original's by more than the null varies: by the
    distance of the null's 95th percentile from its mean.

    Args:
        metrics: of the run, or the row of a table that has the same names.
        original: of the Original.
        attribute: name of the attribute.
        prefix: of its metrics.

    Returns:
        A sentence for each state that reveals more; none where one of the runs has no such figure.
    """
    sentences = []
    for suffix, state in _STATES.items():
        name, null, mean = (f"{prefix}bacc_{part}largest{suffix}" for part in ("", "null_p95_", "null_mean_"))
        if any(key not in metrics for key in (name, null, mean)) or name not in original:
            continue
        ours, theirs, noise = metrics[name], original[name], metrics[null] - metrics[mean]
        if ours > metrics[null] and ours > theirs + noise:
            sentences.append(
                f"This training makes {attribute} more readable in {state}: the largest family reads {ours:.3f}, and "
                f"{theirs:.3f} from the Original."
            )
    return sentences
