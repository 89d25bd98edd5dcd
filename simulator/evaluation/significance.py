"""P-values of the attribute attacks on a run, corrected for their number."""

from collections.abc import Mapping
from typing import Any

from simulator.evaluation.statistics import holm

_P = "bacc_p_"


def corrected(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Corrects the p-values of all attacks on all attributes by Holm's method.

    Args:
        metrics: of a run.

    Returns:
        The corrected p-values by name of the attack's metric, such as `bacc_strong`.
    """
    values: dict[str, float] = {}
    for key in metrics:
        attribute, slash, figure = key.rpartition("/")
        if figure.startswith(_P):
            values[f"{attribute}{slash}bacc_{figure.removeprefix(_P)}"] = metrics[key]
    return dict(zip(values, holm(list(values.values())), strict=True))
