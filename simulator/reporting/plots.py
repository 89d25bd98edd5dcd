"""The two plots of a run: its metrics by round, and the success of attacks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from simulator.datasets.split import CHOSEN_ON
from simulator.reporting.file_names import file_name

BLUE, ORANGE, GREY = "#2b6cb0", "#dd6b20", "#718096"
COLOURS = (BLUE, ORANGE, "#2f855a", "#805ad5", "#b83280", "#b7791f", "#2c7a7b")
_BARS = (
    ("bacc_paper", "paper attacker\nembedding"),
    ("bacc_strong", "strong attacker\nembedding"),
    ("bacc_paper_all", "paper attacker\nall private state"),
    ("bacc_strong_all", "strong attacker\nall private state"),
)
_UPLOADS = (
    ("leak_dlg", "one upload\nDLG"),
    ("leak_analytic", "one upload\nanalytic"),
    ("leak_analytic_20", "20 uploads\nanalytic"),
)


def plot_learning(rounds: pd.DataFrame, chosen: int, split: str, path: Path) -> None:
    """Plots HR@10 and NDCG@10 on held-out items by round, and marks the chosen round.

    Args:
        rounds: table with the columns `round`, `hr@10` and `ndcg@10`; NaN for rounds without an evaluation.
        chosen: number of rounds before the chosen state.
        split: the kind of split, as in the configuration.
        path: the PNG file to write.
    """
    evaluated = rounds.dropna(subset=["ndcg@10"])
    figure, axes = _figure(f"{CHOSEN_ON[split].capitalize()} items, 1 + 99 candidates", "rounds trained", "")
    for column, label, colour in (("hr@10", "HR@10", BLUE), ("ndcg@10", "NDCG@10", ORANGE)):
        axes.plot(evaluated["round"], evaluated[column], "o-", markersize=3, color=colour, label=label)
    axes.axvline(chosen, color=GREY, linestyle="--", linewidth=1, label=f"chosen: round {chosen}")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend_below(axes)
    figure.savefig(path)


def leakage_files(attributes: Sequence[str]) -> dict[str, str]:
    """Names each attribute's plot of attacks in a run folder; the first one has no attribute in its name."""
    first, *others = attributes
    return {first: "leakage.png", **{name: f"leakage-{file_name(name)}.png" for name in others}}


def plot_leakage(runs: Mapping[str, Mapping[str, float]], attribute: str, chance: float, path: Path) -> None:
    """Plots each attacker's balanced accuracy on each protected state, with the null's 95th percentile, and on uploads.

    Args:
        runs: metrics by name of the run; attacks on uploads are plotted if a run has them.
        attribute: the attribute's name.
        chance: balanced accuracy of guessing, 1 / classes.
        path: the PNG file to write.
    """
    figure, axes = _figure(f"Information in private state and uploads about {attribute}", "", "balanced accuracy")
    width = 0.8 / len(runs)
    groups = [*_BARS, *(group for group in _UPLOADS if any(group[0] in metrics for metrics in runs.values()))]
    for number, (name, metrics) in enumerate(runs.items()):
        keys = {bar: key for bar, (key, _) in enumerate(groups) if key in metrics}
        places = [bar + (number - (len(runs) - 1) / 2) * width for bar in keys]
        heights = [metrics[key] for key in keys.values()]
        bars = axes.bar(places, heights, width * 0.95, color=COLOURS[number], label=name)
        axes.bar_label(bars, fmt="%.3f", fontsize=8, padding=2)
        for place, (key, _) in zip(places, _BARS, strict=False):
            null = metrics[key.replace("bacc", "bacc_null_p95")]
            axes.hlines(null, place - width / 2, place + width / 2, color="black", linewidth=1.2)
    axes.hlines([], 0, 0, color="black", linewidth=1.2, label="95% of shuffled labels")
    axes.axhline(chance, color=GREY, linestyle="--", linewidth=1, label=f"chance ({chance:.2f})")
    axes.set_xticks(range(len(groups)), [label for _, label in groups], fontsize=8)
    lowest = min(chance, *(metrics[key] for metrics in runs.values() for key, _ in groups if key in metrics))
    axes.set_ylim(0.8 * lowest, min(1.0, 1.05 * axes.dataLim.ymax))
    _legend_below(axes)
    figure.savefig(path)


def panels(title: str, count: int, *, width: float = 8, height: float = 4.5) -> tuple[Figure, list[Axes]]:
    """Makes an empty figure with panels side by side; width and height are in inches."""
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    all_axes = [figure.add_subplot(1, count, number + 1) for number in range(count)]
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
    return figure, all_axes


def _legend_below(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4)


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure, (axes,) = panels(title, 1)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes
