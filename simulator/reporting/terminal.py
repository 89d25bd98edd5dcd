"""Progress bars and tables of metrics in the terminal."""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from fedau2 import plugins
from simulator.reporting import attacked, groups
from simulator.reporting.pace import Pace


class Bar:
    """A progress bar with the remaining time; implements `simulator.experiment.trainer.Progress`.

    Args:
        progress: the display, which may show several bars.
        name: the name of the run.
        clock: gives seconds.
    """

    def __init__(self, progress: Progress, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress, self._name, self._pace = progress, name, Pace(clock)
        self._task: TaskID = progress.add_task(name, total=None, text="")

    def start(self, phase: str, total: int, done: int = 0) -> None:
        """Begins a phase with `total` parts; `done` parts are already finished."""
        label = f"{self._name}: {phase}"
        self._pace.start(total, done)
        self._progress.reset(self._task, total=total, completed=done, description=label, text="", pace=self._pace)

    def advance(self, text: str = "") -> None:
        """Counts a finished part, and shows a text behind the bar."""
        self._pace.advance()
        self._progress.update(self._task, advance=1, text=text)

    def close(self) -> None:
        """Removes the bar from the display."""
        self._progress.remove_task(self._task)


class _Left(TimeRemainingColumn):
    """The time that is left by a bar's pace, because parts that end at once confuse the display's own estimate."""

    def render(self, task: Task) -> Text:
        pace = task.fields.get("pace")
        if pace is None:
            return super().render(task)
        left = pace.left()
        text = "-:--:--" if left is None else str(timedelta(seconds=round(left)))
        return Text(text, style="progress.remaining")


@contextmanager
def bars(console: Console) -> Iterator[Progress]:
    """Opens a display of progress bars."""
    name, text = (TextColumn(field, markup=False) for field in ("{task.description}", "{task.fields[text]}"))
    with Progress(name, BarColumn(), MofNCompleteColumn(), _Left(), text, console=console) as progress:
        yield progress


PUBLIC = {
    "top10": "top 10, seen items left out",
    "top50": "top 50, seen items left out",
    "top10_seen": "top 10 with seen items",
    "top50_seen": "top 50 with seen items",
    "scores": "scores",
    "popular10": "popular 10, seen items left out, no state",
    "popular50": "popular 50, seen items left out, no state",
    "map_inverse": "state before the published map",
    "map_statistics": "the map's published statistics",
    "map_shifts": "the state along published shifts",
    "map_witnesses": "the witnesses of published kernel steps",
    "map_gaps": "which class map leaves gaps",
}
"""Attacks by what everybody sees, and their names in the table."""

ROWS = (
    ("BAcc, largest family, embedding", "bacc_largest", "bacc_null_p95_largest"),
    ("AUC, largest family, embedding", "auc_largest", "auc_null_p95_largest"),
    ("BAcc, largest family, all private state", "bacc_largest_all", "bacc_null_p95_largest_all"),
    ("AUC, largest family, all private state", "auc_largest_all", "auc_null_p95_largest_all"),
    ("BAcc, paper attacker, embedding", "bacc_paper", "bacc_null_p95_paper"),
    ("AUC, paper attacker, embedding", "auc_paper", "auc_null_p95_paper"),
    ("BAcc, paper attacker, all private state", "bacc_paper_all", "bacc_null_p95_paper_all"),
    ("AUC, paper attacker, all private state", "auc_paper_all", "auc_null_p95_paper_all"),
    ("BAcc, strong attacker, embedding", "bacc_strong", "bacc_null_p95_strong"),
    ("AUC, strong attacker, embedding", "auc_strong", "auc_null_p95_strong"),
    ("BAcc, strong attacker, all private state", "bacc_strong_all", "bacc_null_p95_strong_all"),
    ("AUC, strong attacker, all private state", "auc_strong_all", "auc_null_p95_strong_all"),
    ("Macro-F1, strong attacker, embedding", "macro_f1_strong", ""),
    ("Macro-F1, strong attacker, all private state", "macro_f1_strong_all", ""),
    *(
        (f"{title}, {text}", f"{measure}_{name}", f"{measure}_null_p95_{name}")
        for name, text in PUBLIC.items()
        for measure, title in (("bacc", "BAcc"), ("auc", "AUC"))
    ),
    ("NDCG@10, all items, seen ones not left out", "shown_ndcg@10_seen", ""),
    ("Label from an upload, DLG", "leak_dlg", ""),
    ("Label from an upload, analytic", "leak_analytic", ""),
    ("Label from 20 uploads, analytic", "leak_analytic_20", ""),
    ("Embedding from an upload, relative error", "leak_embedding_error", ""),
    ("Devices read from a round's sum", "sum_devices", ""),
    ("Recorded items read from a round's sum", "sum_items", ""),
    ("Epsilon of a client, by noise on sums", "epsilon", ""),
)
"""Rows of attacks: label, metric, and the metric of its null if it has one. A run may lack some metrics."""

_QUALITY = {
    "hr": "HR@{k}",
    "ndcg": "NDCG@{k}",
    "mrr": "MRR",
    "coverage": "Coverage@{k}, share of the items",
    "gini": "Gini@{k}, 0 is even",
    "novelty": "Novelty@{k}, bits",
}
_NAME = re.compile(rf"(?P<metric>{'|'.join(_QUALITY)})(?:@(?P<k>\d+))?(?P<full>_full)?")

_OF_EVERY = ("/bacc_strong", "/strong")
"""Ends of the name of a metric that each attribute but the first has, or of the attack that is missing instead."""

OF_ATTRIBUTE = ("bacc", "auc", "macro_f1", "leak", "shown")
"""Prefixes of the metrics that each attribute has."""


def rows_of(runs: Collection[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Selects the rows that a run has: of recommendation, and then of attacks."""
    return [*quality_rows(runs), *attack_rows(runs)]


def quality_rows(runs: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Makes the rows of the metrics of recommendation that a run has, first those among candidates."""
    keys = dict.fromkeys(key for run in runs for key in run)
    named = [(key, match) for key in keys if (match := _NAME.fullmatch(key))]
    named.sort(key=lambda pair: (bool(pair[1]["full"]), list(_QUALITY).index(pair[1]["metric"])))
    return [
        (f"{_QUALITY[match['metric']]}{', all items' if match['full'] else ''}".format(**match.groupdict()), key, "")
        for key, match in named
    ]


def attack_rows(runs: Collection[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Selects the attacks that a run has, and adds those of further attributes, whose metrics begin with their name."""
    names = [name for run in runs for name in (*run, *attacked.missing(run)) if name.endswith(_OF_EVERY)]
    attributes = (name.rpartition("/")[0] for name in names)
    rows = [*ROWS, *_of_plugins(), *(row for name in dict.fromkeys(attributes) for row in _further(name))]
    return [row for row in rows if any(row[1] in run or attacked.is_missing(run, row[1]) for run in runs)]


def _of_plugins() -> list[tuple[str, str, str]]:
    """Makes the rows of the attackers and metrics that plug-ins add."""
    return [
        *(
            (f"BAcc, {name} attacker, {on}", f"bacc_{name}{suffix}", f"bacc_null_p95_{name}{suffix}")
            for suffix, on in (("", "embedding"), ("_all", "all private state"))
            for name in plugins.names("attackers")
        ),
        *((name, name, "") for name in plugins.names("metrics")),
    ]


def _further(attribute: str) -> list[tuple[str, str, str]]:
    """Makes the rows of an attribute other than the first."""
    return [
        (f"{attribute}: {label}", f"{attribute}/{key}", f"{attribute}/{null}" if null else "")
        for label, key, null in [*ROWS, *_of_plugins()]
        if key.startswith(OF_ATTRIBUTE)
    ]


def results(runs: Mapping[str, Mapping[str, float]], title: str) -> Table:
    """Makes a table of runs side by side; the null's 95th percentile stands beside each balanced accuracy.

    A run without a metric, such as that of a further attribute, has an empty cell.
    """
    table = Table(title=escape(title), title_justify="left")
    table.add_column("")
    for name in runs:
        table.add_column(escape(name), justify="right")
        table.add_column("null p95", justify="right", style="dim")
    for label, key, null in rows_of(runs.values()):
        table.add_row(escape(label), *_cells(runs.values(), key, null))
    table.add_row("chosen round", *(cell for run in runs.values() for cell in (str(run["round"]), "")))
    return table


def by_group(metrics: Mapping[str, Any], attribute: str) -> Table:
    """Makes a table of NDCG@10 by group of an attribute, see `reporting.groups`."""
    table = Table(title=escape(f"Recommendation by {attribute}"), title_justify="left")
    for number, name in enumerate(groups.HEADER):
        table.add_column(name, justify="right" if number else "left")
    for cells in groups.table(metrics, attribute):
        table.add_row(*map(escape, cells))
    return table


def _cells(runs: Iterable[Mapping[str, float]], key: str, null: str) -> Iterator[str]:
    for run in runs:
        yield attacked.cell(run, key)
        yield f"{run[null]:.3f}" if null in run else ""
