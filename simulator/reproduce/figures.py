"""Plots of an experiment. A plot shows one group: a model on a data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simulator.reporting.drawing import BLUE, COLOURS, GREY, ORANGE, from_zero, picture, rounds_axis, style
from simulator.reproduce.experiments import ORIGINAL
from simulator.reproduce.table import heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_dots(summary: pd.DataFrame, metrics: Sequence[str], title: str, path: Path) -> None:
    """Draws a row per method and a panel per kind of metric; bars are standard deviations over seeds.

    Args:
        summary: of one group, from `results.summarise`.
        metrics: columns of it.
        title: of the plot.
        path: of the PNG.
    """
    kinds = [kind for kind in (_kind(metrics, prefix) for prefix in ("ndcg@10", "bacc", "leak", "loss")) if kind]
    width, height = 4.2 * len(kinds) + 1.2, 1.7 + 0.38 * len(summary)
    with picture(path, title, len(kinds), width=width, height=height) as all_axes:
        for axes, names in zip(all_axes, kinds, strict=True):
            _dots(axes, summary, names)
            axes.tick_params(labelleft=axes is all_axes[0])


def _dots(axes: "Axes", summary: pd.DataFrame, names: Sequence[str]) -> None:
    rows = np.arange(len(summary))
    for number, name in enumerate(names):
        places = rows + (number - (len(names) - 1) / 2) * 0.16
        look = {**style(number), "linestyle": "none", "elinewidth": 1, "markersize": 5}
        axes.errorbar(summary[name], places, xerr=_spread(summary, name), label=heading(name), **look)
        if f"{name}_null" in summary:
            label = "" if number else "95% of shuffled labels"
            axes.plot(summary[f"{name}_null"], places, "|", color="black", markersize=8, label=label)
    axes.set_yticks(rows, summary["method"], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=True, axis="both", alpha=0.25)
    axes.locator_params(axis="x", nbins=5)
    _widen(axes)
    if len(names) == 1:
        axes.set_xlabel(heading(names[0]))
    else:
        axes.set_xlabel("share, from 0 to 1")
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4, ncols=2)


def _spread(summary: pd.DataFrame, name: str) -> pd.Series:
    """Returns the standard deviations over seeds; none for a single seed."""
    return summary[f"{name}_std"].fillna(0)


def _widen(axes: "Axes") -> None:
    """Widens the axis to at least 5% of the values, so that a small difference does not fill the picture."""
    low, high = axes.get_xlim()
    middle, width = (low + high) / 2, max(high - low, 0.05 * (low + high) / 2)
    axes.set_xlim(middle - width / 2, middle + width / 2)


def _kind(metrics: Sequence[str], prefix: str) -> list[str]:
    others = ("_full", "_error")  # of another scale
    return [name for name in metrics if name.startswith(prefix) and not name.endswith(others)]


def plot_curves(runs: Mapping[str, Sequence[pd.DataFrame]], column: str, label: str, title: str, path: Path) -> None:
    """Draws a column of `rounds.parquet` by round: the mean over seeds, and the range of the seeds.

    Args:
        runs: per method its seeds' rounds.
        column: to draw; rounds without it are left out.
        label: of it.
        title: of the plot.
        path: of the PNG.
    """
    with picture(path, title) as (axes,):
        axes.set_ylabel(label)
        for number, (method, seeds) in enumerate(runs.items()):
            values = pd.concat([rounds.set_index("round")[column].dropna() for rounds in seeds], axis=1)
            look = {**style(number), "markersize": 4, "markevery": max(1, len(values) // 8), "linewidth": 1.4}
            axes.plot(values.index, values.mean(axis=1), label=method, **look)
            ranges = values.min(axis=1), values.max(axis=1)
            axes.fill_between(values.index, *ranges, color=look["color"], alpha=0.12, linewidth=0)
        rounds_axis(axes)
        from_zero(axes)
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))


def plot_frontier(summary: pd.DataFrame, title: str, path: Path) -> None:
    """Draws NDCG@10 by the strong attacker's balanced accuracy, and joins the methods that no other beats in both.

    Bars are standard deviations over seeds.

    Args:
        summary: of one group.
        title: of the plot.
        path: of the PNG.
    """
    known = summary.dropna(subset=["ndcg@10", "bacc_strong"])
    with picture(path, title, height=5.5) as (axes,):
        axes.set_xlabel("BAcc, strong attacker on the embedding (lower leaks less)")
        axes.set_ylabel("NDCG@10")
        original = known["method"].str.startswith(ORIGINAL)
        for rows, marker, colour in ((known[~original], "o", BLUE), (known[original], "s", GREY)):
            axes.errorbar(
                rows["bacc_strong"],
                rows["ndcg@10"],
                xerr=_spread(rows, "bacc_strong"),
                yerr=_spread(rows, "ndcg@10"),
                fmt=marker,
                color=colour,
                markersize=5,
                elinewidth=0.6,
            )
        best = known[[_unbeaten(row, known) for _, row in known.iterrows()]].sort_values("bacc_strong")
        axes.plot(best["bacc_strong"], best["ndcg@10"], "-", color=ORANGE, linewidth=1.2, zorder=0, label="frontier")
        if "bacc_strong_null" in known:
            null = known["bacc_strong_null"].mean()
            axes.axvline(null, color="black", linewidth=1, label="95% of shuffled labels")
        for _, row in known.iterrows():
            place = (row["bacc_strong"], row["ndcg@10"])
            axes.annotate(_short(row["method"]), place, xytext=(4, 4), textcoords="offset points", fontsize=7)
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.1), ncols=2)


def _short(method: str) -> str:
    return method.replace("epsilon-", "ε ").replace("-lambda-", ", λ ")


def _unbeaten(row: pd.Series, rows: pd.DataFrame) -> bool:
    as_good = (rows["ndcg@10"] >= row["ndcg@10"]) & (rows["bacc_strong"] <= row["bacc_strong"])
    better = (rows["ndcg@10"] > row["ndcg@10"]) | (rows["bacc_strong"] < row["bacc_strong"])
    return not (as_good & better).any()


def plot_triggers(summary: pd.DataFrame, classes: Sequence[str], title: str, path: Path) -> None:
    """Draws the rate at which the trigger fired for each class, by method; bars have standard deviations over seeds.

    Args:
        summary: of one group, with columns `trigger_rate_CLASS`.
        classes: names.
        title: of the plot.
        path: of the PNG.
    """
    columns = [f"trigger_rate_{name}" for name in classes]
    known = summary.dropna(subset=columns, how="all")
    with picture(path, title, width=6.5, height=4) as (axes,):
        axes.set_ylabel("share of local steps in which it fired")
        _bars(axes, known, columns, classes)
        axes.set_xticks(range(len(known)), known["method"], fontsize=8)
        axes.set_ylim(0, 1.08)
        axes.legend(
            frameon=False, fontsize=8, title="class", title_fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5)
        )


def _bars(axes: "Axes", known: pd.DataFrame, columns: Sequence[str], classes: Sequence[str]) -> None:
    width = 0.8 / max(1, len(columns))
    for number, (column, name) in enumerate(zip(columns, classes, strict=True)):
        places = np.arange(len(known)) + (number - (len(columns) - 1) / 2) * width
        colour, spread = COLOURS[number % len(COLOURS)], _spread(known, column)
        bars = axes.bar(places, known[column], width * 0.95, yerr=spread, ecolor=GREY, color=colour, label=name)
        axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)
