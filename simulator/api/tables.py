"""Tables of a finished run as data frames."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedau2 import plugins
from simulator.config.config import Config
from simulator.datasets import Attribute, Dataset
from simulator.datasets.split import Split
from simulator.evaluation.ranking import Ranks
from simulator.reporting.attacked import NOT_ATTACKED, UPLOADS, missing
from simulator.reporting.groups import rows as rows_of_groups

_ON = {"": "embedding", "_all": "all private state"}
_ATTACKERS = ("paper", "strong")
"""Those of this project; plug-ins add others."""

_LABEL = re.compile(r"leak_(dlg|analytic)(?:_(\d+))?")
_DONE = "done"


def users(dataset: Dataset, ranks: Ranks, ranked: NDArray[np.int64]) -> pd.DataFrame:
    """Makes a row for each user: id, attributes, and the ranks of the test item, from 0.

    A user whose attribute is not known has none. A user who is not among those that were ranked has no ranks.
    """
    table = pd.DataFrame({"id": list(dataset.users)})
    for name, attribute in dataset.attributes.items():
        table[name] = _values(attribute)
    ranks_of = {"rank": ranks.sampled, "rank_full": ranks.full}
    return table.assign(**{name: pd.Series(values, ranked).reindex(table.index) for name, values in ranks_of.items()})


def _values(attribute: Attribute) -> list[str | None]:
    classes = [*attribute.classes, None]
    return [classes[label] for label in attribute.labels]


def attacks(config: Config, metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Makes a row for each attack on an attribute.

    Columns: `attribute`, `attacker`, `on` (what it reads), `success` (balanced accuracy), `std` over splits,
    `macro_f1`, `null_mean` and `null_p95` of the same attack on shuffled labels, `p_holm` (corrected for the number of
    attacks), and `status`. An attack that was not
    made has the status `not attacked` and no numbers.
    """
    rows = []
    for number, attribute in enumerate(config.data.attributes):
        prefix = f"{attribute}/" if number else ""
        rows += [{"attribute": attribute, **row} for row in _of_attribute(metrics, prefix)]
    columns = ["attribute", "attacker", "on", "success", "std", "macro_f1", "null_mean", "null_p95", "p_holm", "status"]
    return pd.DataFrame(rows, columns=columns)


def _of_attribute(metrics: Mapping[str, Any], prefix: str) -> Iterator[dict[str, Any]]:
    for attacker in (*_ATTACKERS, *plugins.names("attackers")):
        for suffix, on in _ON.items():
            names = {"success": "bacc", "std": "bacc_std", "macro_f1": "macro_f1"}
            names |= {"null_mean": "bacc_null_mean", "null_p95": "bacc_null_p95"}
            keys = {column: f"{prefix}{name}_{attacker}{suffix}" for column, name in names.items()}
            status = _DONE if keys["success"] in metrics else NOT_ATTACKED
            figures = {column: metrics.get(key, math.nan) for column, key in keys.items()}
            figures["p_holm"] = metrics.get("p_holm", {}).get(keys["success"], math.nan)
            yield {"attacker": attacker, "on": on, **figures, "status": status}
    if f"{prefix}{UPLOADS}" in missing(metrics):
        yield {"attacker": "any", "on": UPLOADS, "status": NOT_ATTACKED}
    for key, value in metrics.items():
        if label := _LABEL.fullmatch(key.removeprefix(prefix)):
            taken = int(label[2] or 1)
            on = "one upload" if taken == 1 else f"{taken} uploads"
            yield {"attacker": label[1], "on": on, "success": value, "status": _DONE}


def groups(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Makes a row for each attribute, metric and group of users, see `Result.groups`."""
    columns = ["attribute", "metric", "group", "users", "mean", "low", "high", "gap", "gap_low", "gap_high"]
    return pd.DataFrame(rows_of_groups(metrics), columns=[*columns, "p", "p_holm"])


def recommended(dataset: Dataset, split: Split, user: int, scores: NDArray[np.float32], top: int) -> pd.DataFrame:
    """Makes a row for each of the best items: `item`, `score`, and `held_out` as validation or test, or empty.

    The items that the user's device has recorded are left out.

    Args:
        dataset: the run's.
        split: of the run.
        user: row of the user.
        scores: logits of all items, (items,).
        top: most rows.
    """
    ranked = scores.copy()
    ranked[split.seen(user)] = -np.inf
    best = np.argsort(-ranked, kind="stable")[:top]
    rows = best[np.isfinite(ranked[best])]
    names = {int(split.validation[user]): "validation", int(split.test[user]): "test"}
    return pd.DataFrame(
        {
            "item": [dataset.items[row] for row in rows],
            "score": scores[rows],
            "held_out": [names.get(int(row), "") for row in rows],
        }
    )
