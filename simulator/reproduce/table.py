"""A summary as text, with the same cells for the terminal and the report."""

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.markup import escape
from rich.table import Table

from simulator.reproduce import compared
from simulator.reproduce.results import GROUP, chosen_early

_HEADINGS = {
    "ndcg@10": "NDCG@10",
    "hr@10": "HR@10",
    "ndcg@10_full": "NDCG@10, all items",
    "bacc_largest": "BAcc largest family, embedding",
    "auc_largest": "AUC largest family, embedding",
    "bacc_largest_all": "BAcc largest family, all private",
    "auc_largest_all": "AUC largest family, all private",
    "bacc_paper": "BAcc paper, embedding",
    "bacc_strong": "BAcc strong, embedding",
    "bacc_paper_all": "BAcc paper, all private",
    "bacc_strong_all": "BAcc strong, all private",
    "loss_std": "loss, std over rounds",
    "round": "chosen round",
}
NOTE = (
    "Mean ± standard deviation over seeds. change: of NDCG@10, relative to the Original with the same learning rates, "
    "rounds and seeds. p, seeds: paired t-test over seeds; it speaks of the method. users: in how many of the runs "
    "NDCG@10 differs over users (Wilcoxon signed-rank, p < 0.05); it speaks of the trained models. Neither is "
    "corrected for the number of rows. In brackets behind an attack: its null, what the same attack reaches on "
    "shuffled labels in 1 of 20 cases."
)
_EARLY = "Chosen before unlearning began, so they tell nothing of it:"

Column = tuple[str, Callable[[pd.Series], str]]
"""Heading, and the text of a method's row."""


def heading(metric: str) -> str:
    """Returns the heading of a metric; that of a further attribute begins with its name."""
    attribute, _, name = metric.rpartition("/")
    if attribute and name in _HEADINGS:
        return f"{attribute}: {_HEADINGS[name]}"
    return _HEADINGS.get(metric, metric.replace("_", " "))


def notes(frame: pd.DataFrame) -> list[str]:
    """Returns the notes below the tables of all runs."""
    early = chosen_early(frame)
    worse = [f"{row.model}, {row.method}: {text}" for row in compared.methods(frame) for text in row.more_readable()]
    return [NOTE, *([f"{_EARLY} {'; '.join(early)}."] if early else []), *worse]


def groups(summary: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields title and rows of each table."""
    for names, part in summary.groupby(GROUP, sort=False):
        yield ", ".join(map(str, names)), part


def columns(metrics: Sequence[str]) -> list[Column]:
    """Returns the columns of a table; the first metric is compared with the Original."""
    first, *others = metrics
    return [*_compared(first), *map(_metric, others), _RUNS]


def cells(row: pd.Series, columns: Sequence[Column]) -> list[str]:
    """Returns a method's row."""
    return [text(row) for _, text in columns]


def terminal(title: str, part: pd.DataFrame, metrics: Sequence[str], width: int) -> Iterator[Table]:
    """Yields tables for `rich` of at most `width` characters: recommendation first, then attacks."""
    quality = [name for name in metrics if name.startswith(("ndcg", "hr", "round"))]
    others = [name for name in metrics if name not in quality]
    yield from _tables(title, part, [*_compared(quality[0]), *map(_metric, quality[1:]), _RUNS], width)
    yield from _tables("", part, [_METHOD, *map(_metric, others)], width)


def _tables(title: str, part: pd.DataFrame, columns: Sequence[Column], width: int) -> Iterator[Table]:
    """Spreads the columns that are not empty over tables, so that no number is broken; each table has the methods."""
    texts = [(name, [text(row) for _, row in part.iterrows()]) for name, text in columns]
    method, *others = [_lines(name, column) for name, column in texts if any(column)]
    fitting = [method]
    for column in others:
        if len(fitting) > 1 and sum(map(_width, [*fitting, column])) > width:
            yield _table(title, part, fitting)
            title, fitting = "", [method]
        fitting.append(column)
    yield _table(title, part, fitting)


def _lines(name: str, column: Sequence[str]) -> list[str]:
    """Returns a heading, broken at its spaces to be as narrow as its column where possible, and the column."""
    width = max(map(len, [*name.split(), *column]))
    return [textwrap.fill(name, width, break_long_words=False, break_on_hyphens=False), *column]


def _width(column: Sequence[str]) -> int:
    """Returns the width of a column, with the space beside it."""
    return 3 + max(len(line) for text in column for line in text.splitlines())


def _table(title: str, part: pd.DataFrame, columns: Sequence[Sequence[str]]) -> Table:
    table = Table(title=escape(title) or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, (name, *_) in enumerate(columns):
        table.add_column(escape(name), justify="right" if number else "left", no_wrap=True)
    for row, failed in zip(list(zip(*columns, strict=True))[1:], part["failed"], strict=True):
        table.add_row(*row, style="red" if failed else "")
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
        _number(row[name], name)
        + ("" if math.isnan(spread) else f" ± {_number(spread, name)}")
        + ("" if math.isnan(null) else f" ({_number(null)})")
    )


def _relative(row: pd.Series, name: str) -> str:
    relative = row[f"{name}_relative"]
    return f"{relative:+.1%}" if math.isfinite(relative) else ""


def _number(value: Any, metric: str = "") -> str:  # noqa: ANN401
    if not math.isfinite(value):
        return ""
    if metric == "round":
        return f"{value:.0f}"
    return f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"


_METHOD: Column = ("method", lambda row: str(row["method"]))
_RUNS: Column = ("runs", lambda row: f"{row['runs']}" + (f", {row['failed']} failed" if row["failed"] else ""))
