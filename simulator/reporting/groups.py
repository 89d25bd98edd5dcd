"""The metrics by group of users, as rows of tables."""

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.reporting import attacked

GROUPS = "groups"
"""The metric that holds all others by group of each attribute, see `evaluation.by_group.compare`."""

COLUMN = "group of "
"""Beginning of the name of a column of `ranks.parquet` that names each user's group of an attribute."""

HEADER = ("group", "users", "NDCG@10", "gap to the first", "p, Holm")
TOO_FEW = "too few users"
_MEASURE = "ndcg@10"

NOTE = (
    "Each group is compared with the largest one. In brackets: 95% intervals by the bootstrap over users. p: Welch's "
    "t-test, corrected by Holm's method for the groups of all attributes."
)


def rows(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields a row for each attribute, metric and group: the cell, and `attribute`, `metric`, `group` and `users`."""
    for attribute, report in metrics.get(GROUPS, {}).items():
        for metric, cells in report["metrics"].items():
            for group, cell in cells.items():
                head = {"attribute": attribute, "metric": metric, "group": group, "users": report["users"][group]}
                yield head | cell


def table(metrics: Mapping[str, Any], attribute: str) -> list[tuple[str, ...]]:
    """Returns the rows of NDCG@10 by group of an attribute, under `HEADER`."""
    report = metrics[GROUPS][attribute]
    return [_cells(name, report) for name in report["users"]]


def _cells(group: str, report: Mapping[str, Any]) -> tuple[str, ...]:
    cell, users = report["metrics"][_MEASURE][group], f"{report['users'][group]:,}"
    mean, gap = f"{cell['mean']:.3f}", ""
    if "low" not in cell:
        return (group, users, mean, TOO_FEW, "")
    if "gap" in cell:
        gap = f"{cell['gap']:+.3f} ({cell['gap_low']:+.3f} to {cell['gap_high']:+.3f})"
    p = attacked.p_value(cell["p_holm"]) if "p_holm" in cell else ""
    return (group, users, f"{mean} ({cell['low']:.3f} to {cell['high']:.3f})", gap, p)


def sentences(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Says of each attribute in words which groups are served worse or better than the largest one."""
    for attribute, report in metrics.get(GROUPS, {}).items():
        cells, reference = report["metrics"][_MEASURE], report["reference"]
        known = {group: cell for group, cell in cells.items() if "p_holm" in cell}
        differing = [
            f"{group} has {abs(cell['gap']):.3f} {'less' if cell['gap'] < 0 else 'more'} NDCG@10 than {reference} "
            f"(95% interval {cell['gap_low']:+.3f} to {cell['gap_high']:+.3f})"
            for group, cell in known.items()
            if cell["p_holm"] < 0.05
        ]
        if differing:
            yield f"By {attribute}, {'; '.join(differing)}."
        elif known:
            yield f"No group of {attribute} has an NDCG@10 that differs from that of {reference} beyond chance."
        if few := [group for group, cell in cells.items() if "low" not in cell]:
            yield f"Of {', '.join(few)} there are too few users to say."
