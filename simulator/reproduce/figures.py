"""Plots of an experiment. A plot shows one group: a model on a data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from simulator.reporting.plots import BLUE, COLOURS, GREY, ORANGE, panels
from simulator.reproduce.experiments import ORIGINAL
from simulator.reproduce.table import heading

_MARKERS = "osD^"


def plot_dots(summary: pd.DataFrame, metrics: Sequence[str], title: str, path: Path) -> None:
    """Draws a row per method and a panel per kind of metric; bars are standard deviations over seeds.

    Args:
        summary: of one group, from `results.summarise`.
        metrics: columns of it.
        title: of the plot.
        path: of the PNG.
    """
    kinds = [kind for kind in (_kind(metrics, prefix) for prefix in ("ndcg@10", "bacc", "leak", "loss")) if kind]
    figure, all_axes = panels(title, len(kinds), width=4.2 * len(kinds) + 1.2, height=1.7 + 0.38 * len(summary))
    rows = np.arange(len(summary))
    for axes, names in zip(all_axes, kinds, strict=True):
        for number, name in enumerate(names):
            offset = (number - (len(names) - 1) / 2) * 0.16
            axes.errorbar(
                summary[name],
                rows + offset,
                xerr=summary[f"{name}_std"].fillna(0),
                fmt=_MARKERS[number % len(_MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                markersize=5,
                linewidth=1,
                label=heading(name),
            )
            if f"{name}_null" in summary:
                label = "" if number else "95% of shuffled labels"
                axes.plot(summary[f"{name}_null"], rows + offset, "|", color="black", markersize=8, label=label)
        axes.set_yticks(rows, summary["method"], fontsize=8)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(labelleft=axes is all_axes[0])
        axes.grid(visible=True, axis="both", alpha=0.25)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _widen(axes)
        if len(names) == 1:
            axes.set_xlabel(heading(names[0]))
        else:
            axes.legend(
                frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=3, ncols=2
            )
    figure.savefig(path)


def _widen(axes: Axes) -> None:
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
    figure, (axes,) = panels(title, 1, width=8, height=4.5)
    axes.set_xlabel("rounds trained")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for number, (method, seeds) in enumerate(runs.items()):
        values = pd.concat([rounds.set_index("round")[column].dropna() for rounds in seeds], axis=1)
        colour, style = COLOURS[number % len(COLOURS)], "-" if number < len(COLOURS) else "--"
        axes.plot(values.index, values.mean(axis=1), style, color=colour, linewidth=1.4, label=method)
        axes.fill_between(values.index, values.min(axis=1), values.max(axis=1), color=colour, alpha=0.12, linewidth=0)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path)


def plot_frontier(summary: pd.DataFrame, title: str, path: Path) -> None:
    """Draws NDCG@10 by the strong attacker's balanced accuracy, and joins the methods that no other beats in both.

    Args:
        summary: of one group.
        title: of the plot.
        path: of the PNG.
    """
    known = summary.dropna(subset=["ndcg@10", "bacc_strong"])
    figure, (axes,) = panels(title, 1, width=8, height=5.5)
    axes.set_xlabel("BAcc, strong attacker on the embedding (lower leaks less)")
    axes.set_ylabel("NDCG@10")
    methods = known[~known["method"].str.startswith(ORIGINAL)]
    axes.plot(methods["bacc_strong"], methods["ndcg@10"], "o", color=BLUE, markersize=5)
    originals = known[known["method"].str.startswith(ORIGINAL)]
    axes.plot(originals["bacc_strong"], originals["ndcg@10"], "s", color=GREY, markersize=6)
    best = known[[_unbeaten(row, known) for _, row in known.iterrows()]].sort_values("bacc_strong")
    axes.plot(best["bacc_strong"], best["ndcg@10"], "-", color=ORANGE, linewidth=1.2, zorder=0, label="frontier")
    if "bacc_strong_null" in known:
        axes.axvline(known["bacc_strong_null"].mean(), color="black", linewidth=1, label="95% of shuffled labels")
    for _, row in known.iterrows():
        place = (row["bacc_strong"], row["ndcg@10"])
        axes.annotate(_short(row["method"]), place, xytext=(4, 4), textcoords="offset points", fontsize=7)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.1), ncols=2)
    figure.savefig(path)


def _short(method: str) -> str:
    return method.replace("epsilon-", "ε ").replace("-lambda-", ", λ ")


def _unbeaten(row: pd.Series, rows: pd.DataFrame) -> bool:
    as_good = (rows["ndcg@10"] >= row["ndcg@10"]) & (rows["bacc_strong"] <= row["bacc_strong"])
    better = (rows["ndcg@10"] > row["ndcg@10"]) | (rows["bacc_strong"] < row["bacc_strong"])
    return not (as_good & better).any()


def plot_triggers(summary: pd.DataFrame, classes: Sequence[str], title: str, path: Path) -> None:
    """Draws the rate at which the trigger fired for each class, by method.

    Args:
        summary: of one group, with columns `trigger_rate_CLASS`.
        classes: names.
        title: of the plot.
        path: of the PNG.
    """
    columns = [f"trigger_rate_{name}" for name in classes]
    known = summary.dropna(subset=columns, how="all")
    figure, (axes,) = panels(title, 1, width=6.5, height=4)
    axes.set_ylabel("share of local steps")
    _bars(axes, known, columns, classes)
    axes.set_xticks(range(len(known)), known["method"], fontsize=8)
    axes.set_ylim(0, 1.08)
    axes.legend(frameon=False, fontsize=8, title="class", title_fontsize=8)
    figure.savefig(path)


def _bars(axes: Axes, known: pd.DataFrame, columns: Sequence[str], classes: Sequence[str]) -> None:
    width = 0.8 / max(1, len(columns))
    for number, (column, name) in enumerate(zip(columns, classes, strict=True)):
        places = np.arange(len(known)) + (number - (len(columns) - 1) / 2) * width
        bars = axes.bar(places, known[column], width * 0.95, color=COLOURS[number % len(COLOURS)], label=name)
        axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)
