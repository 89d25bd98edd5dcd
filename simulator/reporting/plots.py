"""The plots of a run: its metrics by round, the success of attacks, and its metrics by group of users."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.datasets.split import CHOSEN_ON, NEGATIVES
from simulator.reporting.attacked import NOT_ATTACKED
from simulator.reporting.drawing import GREY, from_zero, legend_below, picture, rounds_axis, style
from simulator.reporting.file_names import file_name
from simulator.reporting.terminal import PUBLIC
from simulator.reporting.words import of_random_order

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LARGEST = (
    ("bacc_largest", "best of all families, embedding"),
    ("bacc_largest_all", "best of all families, all private state"),
)
_STATES = (
    ("bacc_paper", "paper attacker, embedding"),
    ("bacc_strong", "strong attacker, embedding"),
    ("bacc_paper_all", "paper attacker, all private state"),
    ("bacc_strong_all", "strong attacker, all private state"),
)
_UPLOADS = (
    ("leak_dlg", "one upload, DLG"),
    ("leak_analytic", "one upload, analytic"),
    ("leak_analytic_20", "20 uploads, analytic"),
)
_PUBLIC = tuple((f"bacc_{name}", text) for name, text in PUBLIC.items())
NO_FIGURE = "no figure"
"""Stands in the place of an attack that another run has and this one has not."""

_NULL = "95% of shuffled labels"


def plot_learning(
    rounds: "pd.DataFrame", chosen: int, split: str, path: Path, measured: Mapping[str, Any] | None = None
) -> None:
    """Plots HR@10 and NDCG@10 on held-out items by round, and marks the chosen round.

    Args:
        rounds: table with the columns `round`, `hr@10` and `ndcg@10`; NaN for rounds without an evaluation.
        chosen: number of rounds before the chosen state.
        split: the kind of split, as in the configuration.
        path: the PNG file to write.
        measured: metrics of the chosen state on test items, with their intervals; None: they are not known yet.
    """
    evaluated, labels = rounds.dropna(subset=["ndcg@10"]), {"hr@10": "HR@10", "ndcg@10": "NDCG@10"}
    with picture(path, f"{CHOSEN_ON[split].capitalize()} items, 1 + {NEGATIVES} candidates") as (axes,):
        for number, (column, label) in enumerate(labels.items()):
            look = style(number)
            axes.plot(evaluated["round"], evaluated[column], **look, markersize=4, label=label)
            axes.axhline(of_random_order()[number], color=look["color"], linestyle=":", linewidth=1)
            if measured and column in measured.get("intervals", {}):
                _measured(axes, chosen, measured, column, look["color"])
        axes.axvline(chosen, color=GREY, linestyle="-", linewidth=1, zorder=0, label=f"chosen: round {chosen}")
        axes.plot([], [], color=GREY, linestyle=":", linewidth=1, label="the same of a random order")
        if measured:
            axes.errorbar([], [], yerr=[], **_TEST, color=GREY, label="on test items, with 95% interval")
        rounds_axis(axes)
        axes.set_ylabel("from 0 to 1, higher is better")
        from_zero(axes)
        legend_below(axes, 3)


_TEST: Mapping[str, Any] = {"marker": "d", "markerfacecolor": "white", "markersize": 7, "linestyle": "none"}


def _measured(axes: "Axes", chosen: int, measured: Mapping[str, Any], column: str, colour: str) -> None:
    """Draws a metric of the chosen state on test items, with its interval over users."""
    value, (low, high) = measured[column], measured["intervals"][column]
    errors = [[max(0.0, value - low)], [max(0.0, high - value)]]
    axes.errorbar([chosen], [value], yerr=errors, **_TEST, color=colour, capsize=4)


def leakage_files(attributes: Sequence[str]) -> dict[str, str]:
    """Names each attribute's plot of attacks in a run folder; the first one has no attribute in its name."""
    return _files("leakage", attributes)


def group_files(attributes: Sequence[str]) -> dict[str, str]:
    """Names each attribute's plot of groups in a run folder, as `leakage_files` does."""
    return _files("groups", attributes)


def _files(stem: str, attributes: Sequence[str]) -> dict[str, str]:
    first, *others = attributes
    return {first: f"{stem}.png", **{name: f"{stem}-{file_name(name)}.png" for name in others}}


def plot_leakage(runs: Mapping[str, Mapping[str, float]], attribute: str, chance: float, path: Path) -> None:
    """Plots the balanced accuracy of attacks on private state and on what everybody sees, beside their nulls.

    A marker is filled where the attack reads more than its null, and hollow where it does not. Attacks on uploads have
    no null, and a marker of their own. The axis goes from chance to 1 in every picture, so that pictures can be
    compared.

    Args:
        runs: metrics by name of the run; beside those of the paper's and the strong attacker, the attacks are plotted
            that a run has.
        attribute: the attribute's name.
        chance: balanced accuracy of guessing, 1 / classes.
        path: the PNG file to write.
    """
    attacks = [
        attack
        for attack in (*_LARGEST, *_STATES, *_PUBLIC, *_UPLOADS)
        if attack in _STATES or any(attack[0] in metrics for metrics in runs.values())
    ]
    height = 1.6 + len(attacks) * (0.22 + 0.24 * len(runs))
    with picture(path, f"What attackers read of {attribute}", height=height) as (axes,):
        for number, (name, metrics) in enumerate(runs.items()):
            _attacks(axes, metrics, [key for key, _ in attacks], (number, len(runs)), name, chance)
        axes.barh([0], [0], left=chance, color=GREY, alpha=0.3, label=_NULL)
        if any(attack in _UPLOADS for attack in attacks):
            axes.plot([], [], **_WITHOUT_NULL, color=GREY, label="on uploads, without a null")
        axes.errorbar([], [], xerr=[], color=GREY, linestyle="none", label="standard deviation over splits")
        axes.axvline(chance, color=GREY, linestyle="--", linewidth=1, label=f"chance ({chance:.2f})")
        axes.set_yticks(range(len(attacks)), [label for _, label in attacks], fontsize=9)
        axes.set_ylim(len(attacks) - 0.5, -0.5)
        axes.grid(visible=True, axis="x", alpha=0.25)
        axes.grid(visible=False, axis="y")
        axes.set_xlim(min(chance, axes.dataLim.xmin) - 0.04, 1.06)
        axes.set_xlabel("balanced accuracy: further left leaks less;\nfilled markers are beyond shuffled labels")
        legend_below(axes, 2)


_WITHOUT_NULL: Mapping[str, Any] = {"marker": "x", "markersize": 6, "linestyle": "none"}


def _attacks(
    axes: "Axes", metrics: Mapping[str, float], keys: Sequence[str], place: tuple[int, int], name: str, chance: float
) -> None:
    """Draws a run's attacks with their nulls; `place` is its number and the count of runs."""
    number, count = place
    look, height = style(number), 0.8 / count
    shown = {"color": look["color"], "marker": look["marker"], "markersize": 7, "linestyle": "none"}
    axes.errorbar([], [], xerr=[], **shown, label=name)
    for row, key in enumerate(keys):
        middle = row + (number - (count - 1) / 2) * height
        if key not in metrics:
            text = NOT_ATTACKED if key.startswith("bacc") else NO_FIGURE
            axes.text(chance + 0.01, middle, text, va="center", fontsize=8, color=GREY)
            continue
        value, null, spread = metrics[key], chance, 0.0
        if key.startswith("bacc"):
            null = metrics[key.replace("bacc", "bacc_null_p95")]
            spread = metrics.get(key.replace("bacc", "bacc_std"), 0.0)
            axes.barh(middle, null - chance, height * 0.8, left=chance, color=GREY, alpha=0.3, linewidth=0)
        drawn: dict[str, Any] = {**shown, "markerfacecolor": look["color"] if value > null else "white"}
        if not key.startswith("bacc"):
            drawn = {**shown, **_WITHOUT_NULL}
        axes.errorbar([value], [middle], xerr=[spread], **drawn, elinewidth=1.2)
        above: dict[str, Any] = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center", "fontsize": 7.5}
        axes.annotate(f"{value:.3f}", (value, middle), **above)


def plot_quality(runs: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Plots NDCG@10 of several runs with its 95% interval over users.

    Args:
        runs: metrics by name of the run.
        path: the PNG file to write.
    """
    with picture(path, "NDCG@10 on test items, with 95% intervals", height=1.3 + 0.4 * len(runs)) as (axes,):
        for row, metrics in enumerate(runs.values()):
            low, high = metrics["intervals"]["ndcg@10"]
            _interval(axes, row, metrics["ndcg@10"], low, high)
        axes.axvline(of_random_order()[1], color=GREY, linestyle=":", linewidth=1)
        axes.text(of_random_order()[1], -0.45, " random order", va="top", fontsize=8, color=GREY)
        axes.set_yticks(range(len(runs)), list(runs), fontsize=9)
        axes.set_ylim(len(runs) - 0.5, -0.5)
        axes.set_xlim(0, 1.08 * axes.dataLim.xmax)
        axes.set_xlabel("further right recommends better")
        axes.grid(visible=True, axis="x", alpha=0.25)
        axes.grid(visible=False, axis="y")


def plot_groups(report: Mapping[str, Any], attribute: str, path: Path) -> None:
    """Plots NDCG@10 by group of users, and the gap of each group to the largest one, with 95% intervals.

    Args:
        report: of the attribute, see `evaluation.by_group.compare`.
        attribute: its name.
        path: the PNG file to write.
    """
    cells, names = report["metrics"]["ndcg@10"], list(report["users"])
    with picture(path, f"Recommendation by {attribute}", 2, height=1.7 + 0.42 * len(names)) as (means, gaps):
        for row, name in enumerate(names):
            cell = cells[name]
            _interval(means, row, cell["mean"], cell.get("low"), cell.get("high"))
            if "gap" in cell:
                _interval(gaps, row, cell["gap"], cell["gap_low"], cell["gap_high"])
        means.set_yticks(range(len(names)), [f"{name} ({report['users'][name]:,})" for name in names], fontsize=9)
        means.set_xlabel("NDCG@10, mean and 95% interval")
        means.set_xlim(0, 1.08 * means.dataLim.xmax or 1)
        gaps.axvline(0, color=GREY, linestyle="--", linewidth=1)
        gaps.set_yticks(range(len(names)), [])
        gaps.set_xlabel(f"gap to {report['reference']}: left of 0 is served worse")
        widest = 1.15 * max(0.02, abs(gaps.dataLim.xmin), abs(gaps.dataLim.xmax)) if len(names) > 1 else 0.02
        gaps.set_xlim(-widest, widest)
        for axes in (means, gaps):
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.grid(visible=True, axis="x", alpha=0.25)
            axes.grid(visible=False, axis="y")


def _interval(axes: "Axes", row: int, value: float, low: float | None, high: float | None) -> None:
    """Draws a value with its interval; hollow where there are too few users for one."""
    look = style(row)
    shown = {"color": look["color"], "marker": look["marker"], "markersize": 7, "linestyle": "none", "capsize": 3}
    shown["clip_on"] = False  # a value of 0 lies on the edge of the panel
    if low is None or high is None:
        axes.plot([value], [row], color=look["color"], marker=look["marker"], markersize=7, markerfacecolor="white")
        axes.annotate("too few users", (value, row), xytext=(8, -3), textcoords="offset points", fontsize=8, color=GREY)
        return
    axes.errorbar([value], [row], xerr=[[max(0.0, value - low)], [max(0.0, high - value)]], **shown)
