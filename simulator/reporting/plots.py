"""The two plots of a run: its metrics by round, and the success of attacks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.datasets.split import CHOSEN_ON
from simulator.reporting.attacked import NOT_ATTACKED
from simulator.reporting.drawing import COLOURS, GREY, from_zero, legend_below, picture, rounds_axis, style
from simulator.reporting.file_names import file_name

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

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


def plot_learning(rounds: "pd.DataFrame", chosen: int, split: str, path: Path) -> None:
    """Plots HR@10 and NDCG@10 on held-out items by round, and marks the chosen round.

    Args:
        rounds: table with the columns `round`, `hr@10` and `ndcg@10`; NaN for rounds without an evaluation.
        chosen: number of rounds before the chosen state.
        split: the kind of split, as in the configuration.
        path: the PNG file to write.
    """
    evaluated = rounds.dropna(subset=["ndcg@10"])
    with picture(path, f"{CHOSEN_ON[split].capitalize()} items, 1 + 99 candidates") as (axes,):
        for number, (column, label) in enumerate((("hr@10", "HR@10"), ("ndcg@10", "NDCG@10"))):
            axes.plot(evaluated["round"], evaluated[column], **style(number), markersize=4, label=label)
        axes.axvline(chosen, color=GREY, linestyle=":", linewidth=1.5, label=f"chosen: round {chosen}")
        rounds_axis(axes)
        axes.set_ylabel("HR@10 and NDCG@10, from 0 to 1")
        from_zero(axes)
        legend_below(axes)


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
    groups = [*_BARS, *(group for group in _UPLOADS if any(group[0] in metrics for metrics in runs.values()))]
    with picture(path, f"Information in private state and uploads about {attribute}") as (axes,):
        for number, (name, metrics) in enumerate(runs.items()):
            _bars(axes, metrics, [key for key, _ in groups], (number, len(runs)), name)
        axes.vlines([], 0, 0, color=GREY, label="standard deviation over splits")
        axes.hlines([], 0, 0, color="black", linewidth=1.2, label="95% of shuffled labels")
        axes.axhline(chance, color=GREY, linestyle="--", linewidth=1, label=f"chance ({chance:.2f})")
        axes.set_xticks(range(len(groups)), [label for _, label in groups], fontsize=8)
        axes.set_xlim(-0.5, len(groups) - 0.5)
        axes.set_ylabel("balanced accuracy, from 0 to 1")
        axes.set_ylim(0, min(1.0, 1.05 * max(chance, axes.dataLim.ymax)))
        legend_below(axes)


def _bars(axes: "Axes", metrics: Mapping[str, float], keys: Sequence[str], place: tuple[int, int], name: str) -> None:
    """Draws a run's bars, with the deviation over attack splits, and the null's marks; `place` is number and count."""
    number, count = place
    width = 0.8 / count
    places = {key: bar + (number - (count - 1) / 2) * width for bar, key in enumerate(keys)}
    middles = {key: middle for key, middle in places.items() if key in metrics}
    heights = [metrics[key] for key in middles]
    spread = [metrics.get(key.replace("bacc", "bacc_std"), 0.0) if key.startswith("bacc") else 0.0 for key in middles]
    colour = COLOURS[number % len(COLOURS)]
    bars = axes.bar([*middles.values()], heights, width * 0.95, yerr=spread, ecolor=GREY, color=colour, label=name)
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.bar_label(bars, fmt="%.3f", fontsize=8, label_type="center", bbox=behind)
    for key, middle in places.items():
        if key.startswith("bacc") and key not in metrics:
            axes.text(middle, 0.02, NOT_ATTACKED, rotation=90, ha="center", fontsize=8, color=GREY)
        elif key.startswith("bacc"):
            null = metrics[key.replace("bacc", "bacc_null_p95")]
            axes.hlines(null, middle - width / 2, middle + width / 2, color="black", linewidth=1.2)
