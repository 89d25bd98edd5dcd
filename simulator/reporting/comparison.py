"""The report of several runs side by side, such as those of the demo; one of them is the Original."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from simulator.config.config import Config
from simulator.reporting import attacked, groups, html, leaks, plots, words

HEADER = ("run", "rounds", "HR@10", "NDCG@10", "worst gap", "leak (null)", "upload", "uploads seen")

NOTE = (
    "Of the first attribute. worst gap: of NDCG@10, between the group that is served worst and the largest one. leak: "
    "balanced accuracy of the attack that exceeds its null by most, on private state, on recommendations, or by what "
    "unlearning publishes; and the null: what the same attack reaches on shuffled labels in 1 of 20 cases. upload: what"
    " the server reads from a single contribution. uploads seen: how many contributions it sees one by one."
)


@dataclass(frozen=True)
class Beside:
    """A run in a comparison.

    Attributes:
        config: of the run.
        metrics: of the run.
        report: path of its own report, seen from that of the comparison.
    """

    config: Config
    metrics: Mapping[str, Any]
    report: str


def rows(runs: Mapping[str, Beside]) -> list[tuple[str, ...]]:
    """Returns a row for each run, under `HEADER`."""
    return [_row(name, run) for name, run in runs.items()]


def _row(name: str, run: Beside) -> tuple[str, ...]:
    metrics, leak = run.metrics, _strongest(run.metrics)
    upload = [metrics[key] for key in ("leak_dlg", "leak_analytic") if key in metrics]
    gap = _worst_gap(metrics, run.config.data.attributes[0])
    hidden = run.config.engine.sums != "plain"
    return (
        name,
        f"{run.config.engine.rounds:,}",
        f"{metrics['hr@10']:.3f}",
        f"{metrics['ndcg@10']:.3f}",
        "" if gap is None else f"{gap:+.3f}",
        attacked.NOT_ATTACKED if leak is None else f"{leak.success:.3f} ({leak.null:.3f})",
        f"{max(upload):.3f}" if upload else "hidden" if hidden else "nothing",
        "none" if hidden else "all",
    )


def _worst_gap(metrics: Mapping[str, Any], attribute: str) -> float | None:
    cells = metrics.get(groups.GROUPS, {}).get(attribute, {}).get("metrics", {}).get("ndcg@10", {})
    return min((cell["gap"] for cell in cells.values() if "gap" in cell), default=None)


def table(title: str, runs: Mapping[str, Beside]) -> Table:
    """Makes the same table for the terminal, with the best in bold type and a star."""
    shown, marked = Table(title=escape(title), title_justify="left"), best(runs)
    for number, name in enumerate(HEADER):
        shown.add_column(name, justify="right" if number else "left")
    for row, cells in enumerate(rows(runs)):
        texts = (Text(cell, "bold") + Text(" ★") if (row, n) in marked else Text(cell) for n, cell in enumerate(cells))
        shown.add_row(*texts)
    return shown


def best(runs: Mapping[str, Beside]) -> set[tuple[int, int]]:
    """Returns row and column of the best recommendation, and of the run that leaks least; of equal ones none is best.

    A run is as good as the one that leaks least where `leaks.change` cannot tell them apart. Where attacks on a run are
    missing, nobody knows which run leaks least.
    """
    metrics = [run.metrics for run in runs.values()]
    columns = {2: [-figures["hr@10"] for figures in metrics], 3: [-figures["ndcg@10"] for figures in metrics]}
    strongest = [_strongest(figures) for figures in metrics if not attacked.missing(figures)]
    known = [leak for leak in strongest if leak is not None]
    if len(known) == len(runs):
        least = min(known, key=lambda leak: leak.excess)
        columns[5] = [float(leaks.change(leak, least, len(runs) - 1) == "more") for leak in known]
    return {
        (row, column)
        for column, values in columns.items()
        for row, value in enumerate(values)
        if value == min(values) and max(values) > min(values)
    }


def write(folder: Path, title: str, runs: Mapping[str, Beside], original: str, chance: float) -> None:
    """Draws the attacks on all runs, and writes `report.html`.

    Args:
        folder: of the report.
        title: of the report.
        runs: by name.
        original: name of the run that does not unlearn.
        chance: balanced accuracy of guessing the first attribute.
    """
    attribute = runs[original].config.data.attributes[0]
    metrics = {name: run.metrics for name, run in runs.items()}
    plots.plot_leakage(metrics, attribute, chance, folder / "leakage.png")
    plots.plot_quality(metrics, folder / "quality.png")
    html.write(
        folder / "report.html",
        title,
        [
            html.paragraph(summary(runs, original), lead=True),
            html.table(HEADER, rows(runs), best(runs)),
            html.paragraph(f"★: the best. {NOTE}", note=True),
            html.image(folder / "quality.png", "NDCG@10 of each run with its interval over users"),
            html.image(folder / "leakage.png", f"attacks on {attribute} of each run, beside their nulls"),
            html.heading("Each run"),
            html.links({name: run.report for name, run in runs.items()}),
            html.details("Versions", html.versions()),
        ],
    )


def summary(runs: Mapping[str, Beside], original: str) -> str:
    """Says in a paragraph what was trained, how well each run recommends, and what leaks beside its null."""
    first = runs[original]
    attribute, base = first.config.data.attributes[0], first.metrics["ndcg@10"]
    size = f"{first.metrics['users']:,} users, {first.metrics['items']:,} items"
    sentences = [
        f"{words.model_name(first.config)} was trained on {first.config.data.dataset} ({size}) in {len(runs)} ways. "
        f"The {original} has an NDCG@10 of {base:.3f} (a random order: {words.of_random_order()[1]:.3f})"
    ]
    leak = _strongest(first.metrics)
    sentences[0] += f", and {_leak(leak, attribute)}." if leak is not None else "."
    others = {name: run.metrics for name, run in runs.items() if name != original}
    sentences += [_compared(name, metrics, first.metrics, len(others)) for name, metrics in others.items()]
    return " ".join(sentences)


def _strongest(metrics: Mapping[str, Any]) -> leaks.Leak | None:
    return leaks.strongest(leaks.leaks_of(metrics))


def _leak(leak: leaks.Leak, attribute: str) -> str:
    reads = f"{leak.attack} reads {attribute} with {leak.success:.3f} beside a null of {leak.null:.3f}"
    return reads if leak.leaks else f"{reads}, which is no more than chance gives"


def _compared(name: str, metrics: Mapping[str, Any], original: Mapping[str, Any], comparisons: int) -> str:
    gain = metrics["ndcg@10"] / original["ndcg@10"] - 1
    text = f"{name} has {abs(gain):.0%} {'less' if gain < 0 else 'more'} NDCG@10"
    ours, theirs = _strongest(metrics), _strongest(original)
    if ours is None or theirs is None or attacked.missing(metrics) or attacked.missing(original):
        return f"{text}; not all attacks on it and on the other were made."
    change = leaks.change(ours, theirs, comparisons)
    how = f"leaks {change}" if change else "leaks as much, as far as the attacks can tell"
    beyond = "" if ours.leaks else ", no more than chance"
    return f"{text} and {how}{beyond}: {ours.attack} reads {ours.success:.3f} beside {ours.null:.3f}."
