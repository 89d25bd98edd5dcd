"""What unlearning costs each group of users: does it cost women more than men?"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.evaluation import by_group
from simulator.evaluation.ranking import gains
from simulator.reporting import attacked, frames
from simulator.reporting.groups import COLUMN, TOO_FEW
from simulator.reproduce.results import GROUP

HEADER = ("method", "of", "group", "users", "change of NDCG@10", "gap to the first", "p, Holm")

NOTE = (
    "The change of each user's NDCG@10 from the Original with the same seed, in the mean over the seeds and the users "
    "of a group. A negative gap says that the method costs this group more than the largest one, which stands first. "
    "In brackets: 95% intervals by the bootstrap over users. p: Welch's t-test of the gap, corrected by Holm's method "
    "for all rows of the table. Users who do not tell the attribute are a group of their own."
)


def collect(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Compares what each method costs the groups of each attribute.

    Args:
        frame: from `results.collect`.
        folder: with the run folders.

    Returns:
        A row for each model, data set, method, attribute and group: the cell of `by_group.means`, and `p_holm` for all
        methods and groups of a model and a data set. It is empty where no run can be compared.
    """
    rows: list[dict[str, object]] = []
    finished = frame[frame["status"] == "done"]
    for names, part in finished.groupby(GROUP, sort=False):
        compared = [
            (method, attribute, by_group.means({"cost": changes}, by_group.groups_of(users))["cost"], users)
            for method, runs in part.groupby("method", sort=False)
            for attribute, changes, users in _changes(runs, set(finished["run"]), folder)
        ]
        by_group.correct([metric for _, _, metric, _ in compared])
        head = dict(zip(GROUP, names, strict=True))
        for method, attribute, metric, users in compared:
            for group, cell in metric.items():
                row = {"method": method, "of": attribute, "group": group, "users": list(users).count(group)}
                rows.append(head | row | cell)
    return pd.DataFrame(rows)


def _changes(
    runs: pd.DataFrame, finished: set[str], folder: Path
) -> Iterator[tuple[str, NDArray[np.float64], list[str]]]:
    """Yields each attribute, and the change from the Original and the group of each user.

    Seeds on the same users are averaged user by user. Others, as of synthetic data, are different users.
    """
    pairs = [
        tuple(frames.read(folder / run / "ranks.parquet") for run in (name, original))
        for name, original in zip(runs["run"], runs["original"], strict=True)
        if original in finished and original != name
    ]
    columns = [name for name in pairs[0][0].columns if name.startswith(COLUMN)] if pairs else []
    for column in columns:
        changes = [gains(ours["rank"].to_numpy(), 10) - gains(theirs["rank"].to_numpy(), 10) for ours, theirs in pairs]
        groups = [list(ours[column]) for ours, _ in pairs]
        if all(users == groups[0] for users in groups):
            yield column.removeprefix(COLUMN), np.mean(changes, axis=0), groups[0]
        else:
            yield column.removeprefix(COLUMN), np.concatenate(changes), [name for users in groups for name in users]


def rows(costs: pd.DataFrame) -> list[tuple[str, ...]]:
    """Returns the rows of a table under `HEADER`."""
    return [_row(row) for _, row in costs.iterrows()]


def _row(row: pd.Series) -> tuple[str, ...]:
    head = (str(row["method"]), str(row["of"]), str(row["group"]), f"{row['users']:,}")
    if np.isnan(row.get("low", np.nan)):
        return (*head, f"{row['mean']:+.3f}", TOO_FEW, "")
    mean = f"{row['mean']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
    if np.isnan(row.get("gap", np.nan)):
        return (*head, mean, "", "")
    gap = f"{row['gap']:+.3f} ({row['gap_low']:+.3f} to {row['gap_high']:+.3f})"
    return (*head, mean, gap, attacked.p_value(row["p_holm"]))
