"""A summary as text: the same cells for the terminal and the report."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table

from simulator.reproduce.results import GROUP

_HEADINGS = {
    "ndcg@10": "NDCG@10",
    "hr@10": "HR@10",
    "ndcg@10_full": "NDCG@10, all items",
    "bacc_paper": "BAcc paper, embedding",
    "bacc_strong": "BAcc strong, embedding",
    "bacc_paper_all": "BAcc paper, all private",
    "bacc_strong_all": "BAcc strong, all private",
    "loss_std": "loss, std over rounds",
}
NOTE = (
    "Mean ± standard deviation over seeds. change: of NDCG@10, relative to the Original with the same learning rates, "
    "rounds and seeds. p, seeds: paired t-test over seeds; it speaks of the method. users: in how many of the runs "
    "NDCG@10 differs over users (Wilcoxon signed-rank, p < 0.05); it speaks of the trained models. Neither is "
    "corrected for the number of rows. In brackets behind an attack: its null, what the same attack reaches on "
    "shuffled labels in 1 of 20 cases."
)


Column = tuple[str, Callable[[pd.Series], str]]
"""Heading, and what stands in a method's row."""


def heading(metric: str) -> str:
    """What people read for a metric's name."""
    return _HEADINGS.get(metric, metric.replace("_", " "))


def groups(summary: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Title and rows of each table."""
    for names, part in summary.groupby(GROUP, sort=False):
        yield ", ".join(map(str, names)), part


def columns(metrics: Sequence[str]) -> list[Column]:
    """Of a table; the first metric is compared with the Original."""
    first, *others = metrics
    return [*_compared(first), *map(_metric, others), _RUNS]


def cells(row: pd.Series, shown: Sequence[Column]) -> list[str]:
    """A method's row."""
    return [text(row) for _, text in shown]


def terminal(title: str, part: pd.DataFrame, metrics: Sequence[str]) -> Iterator[Table]:
    """Two tables for `rich`, since one would be too wide: recommendation, and what is known about users."""
    quality = [name for name in metrics if name.startswith(("ndcg", "hr"))]
    others = [name for name in metrics if name not in quality]
    yield _table(title, part, [*_compared(quality[0]), *map(_metric, quality[1:]), _RUNS])
    yield _table("", part, [_METHOD, *map(_metric, others)])


def _table(title: str, part: pd.DataFrame, shown: Sequence[Column]) -> Table:
    rows = [cells(row, shown) for _, row in part.iterrows()]
    filled = [number for number in range(len(shown)) if any(row[number] for row in rows)]
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number in filled:
        table.add_column(shown[number][0], justify="right" if number else "left", no_wrap=not number, overflow="fold")
    for row, failed in zip(rows, part["failed"], strict=True):
        table.add_row(*(row[number] for number in filled), style="red" if failed else "")
    return table


def _compared(name: str) -> list[Column]:
    return [
        _METHOD,
        _metric(name),
        ("change", lambda row: _relative(row, name)),
        ("p, seeds", lambda row: _number(row[f"{name}_p"])),
        ("users", lambda row: f"{row['users']}/{row['compared']}" if row["compared"] else ""),
    ]


def _metric(name: str) -> Column:
    return heading(name), lambda row: _mean(row, name)


def _mean(row: pd.Series, name: str) -> str:
    spread = row[f"{name}_std"]
    null = row.get(f"{name}_null", math.nan)
    return (
        _number(row[name])
        + ("" if math.isnan(spread) else f" ± {_number(spread)}")
        + ("" if math.isnan(null) else f" ({_number(null)})")
    )


def _relative(row: pd.Series, name: str) -> str:
    relative = row[f"{name}_relative"]
    return f"{relative:+.1%}" if math.isfinite(relative) else ""


def _number(value: Any) -> str:  # noqa: ANN401
    if not math.isfinite(value):
        return ""
    return f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"


_METHOD: Column = ("method", lambda row: str(row["method"]))
_RUNS: Column = ("runs", lambda row: f"{row['runs']}" + (f", {row['failed']} failed" if row["failed"] else ""))
