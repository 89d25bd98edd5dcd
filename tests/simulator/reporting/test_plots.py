from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from simulator.reporting import drawing, plots

KEYS = ("paper", "strong", "paper_all", "strong_all")


def metrics(value):
    return {f"bacc_{key}": value for key in KEYS} | {f"bacc_null_p95_{key}": 0.53 for key in KEYS}


def coloured(path, colour):
    """Share of the picture's pixels that have a colour like `#2b6cb0`."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return (np.abs(imread(path)[..., :3] * 255 - rgb).max(-1) < 3).mean()


def test_rounds_without_an_evaluation_are_left_out(tmp_path):
    sparse = pd.DataFrame({"round": [1, 2, 3, 4], "hr@10": [np.nan, 0.2, np.nan, 0.4], "ndcg@10": [np.nan, 0.1] * 2})
    plots.plot_learning(sparse, 4, "validation", tmp_path / "sparse.png")
    plots.plot_learning(sparse.iloc[[1, 3]], 4, "validation", tmp_path / "dense.png")
    assert (imread(tmp_path / "sparse.png") == imread(tmp_path / "dense.png")).all()
    assert coloured(tmp_path / "sparse.png", drawing.BLUE) > 0.001
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".svg", ".pdf"}


@pytest.mark.parametrize(("split", "items"), [("validation", "Validation items"), ("paper", "Test items")])
def test_a_round_is_a_whole_number_the_items_are_named_and_the_legend_hides_nothing(drawn, split, items):
    rounds = pd.DataFrame({"round": [1, 2, 3], "hr@10": [0.2, 0.3, 0.4], "ndcg@10": [0.1, 0.2, 0.3]})
    plots.plot_learning(rounds, 3, split, Path("it.png"))
    (figure,) = drawn
    (axes,) = figure.axes
    assert figure.get_suptitle() == f"{items}, 1 + 99 candidates"
    assert all(tick == round(tick) for tick in axes.get_xticks())
    figure.canvas.draw()
    assert axes.get_legend().get_window_extent().y1 < axes.bbox.y0


def markers(axes):
    """Place and colour inside of the markers of attacks, from the upper one down."""
    lines = [line for line in axes.lines if len(line.get_xdata()) == 1 and line.get_marker() not in ("None", "|", "x")]
    places = [(float(line.get_ydata()[0]), float(line.get_xdata()[0]), line.get_markerfacecolor()) for line in lines]
    return [(success, face) for _, success, face in sorted(places)]


def crosses(axes):
    """Places of the markers of attacks without a null."""
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata())]


def leakage(drawn, runs, chance=0.5):
    plots.plot_leakage(runs, "age", chance, Path("it.png"))
    return drawn[-1].axes[0]


def test_more_leakage_is_further_right_and_filled_only_beyond_its_null(drawn):
    axes = leakage(drawn, {"it": metrics(0.7) | {"bacc_strong": 0.52, "leak_dlg": 0.6}})
    assert markers(axes) == [*[(0.7, drawing.BLUE), (0.52, "white"), (0.7, drawing.BLUE), (0.7, drawing.BLUE)]]
    assert crosses(axes) == [0.6]
    assert "on uploads, without a null" in [text.get_text() for text in axes.get_legend().get_texts()]
    assert [text.get_text() for text in axes.texts] == ["0.700", "0.520", "0.700", "0.700", "0.600"]


@pytest.mark.parametrize("runs", [1, 3])
def test_the_legend_hides_neither_panel_nor_label(drawn, runs):
    axes = leakage(drawn, {f"run {number}": metrics(0.7) for number in range(runs)})
    drawn[-1].canvas.draw()
    assert axes.get_legend().get_window_extent().y1 < axes.xaxis.label.get_window_extent().y0 < axes.bbox.y0


def test_the_largest_family_the_published_map_and_recommendations_are_drawn_where_a_run_has_them(drawn):
    further = {f"bacc_{part}{name}": 0.9 for name in ("largest", "map_gaps", "top50") for part in ("", "null_p95_")}
    labels = [text.get_text() for text in leakage(drawn, {"it": metrics(0.7) | further}).get_yticklabels()]
    assert len(labels) == 7
    assert {"which class map leaves gaps", "top 50, seen items left out", "best of all families, embedding"} < set(
        labels
    )


def test_runs_differ_by_more_than_colour_and_have_one_entry_each_in_the_legend(drawn):
    axes = leakage(drawn, {"Original": metrics(0.7), "FedAU2": metrics(0.55)})
    assert len(markers(axes)) == 8
    assert {line.get_marker() for line in axes.lines} >= {"o", "s"}
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels.count("Original") == labels.count("FedAU2") == 1


@pytest.mark.parametrize(("value", "chance"), [(1.0, 1 / 3), (0.2, 1 / 3), (0.55, 0.5), (0.95, 0.5)])
def test_the_axis_goes_from_chance_to_1_whatever_was_read(drawn, value, chance):
    axes = leakage(drawn, {"it": metrics(value)}, chance)
    low, high = axes.get_xlim()
    assert low == pytest.approx(min(value, chance) - 0.04, abs=0.01)
    assert high == 1.06
    assert drawn[0].get_suptitle().endswith("of age")


def test_the_deviation_over_splits_and_the_null_are_drawn(drawn):
    axes = leakage(drawn, {"it": metrics(0.6) | {"bacc_std_strong": 0.04, "leak_dlg": 0.6}})
    segments = [bar.lines[2][0].get_segments() for bar in axes.containers if getattr(bar, "has_xerr", False)]
    widths = [abs(high - low) for bars in segments for (low, _), (high, _) in bars]
    assert sorted(widths) == pytest.approx([0, 0, 0, 0, 0.08])
    nulls = [patch for patch in axes.patches if patch.get_width() > 0]
    assert [patch.get_x() + patch.get_width() for patch in nulls] == pytest.approx([0.53] * 4)


def test_what_was_not_attacked_is_said(drawn):
    axes = leakage(drawn, {"it": {"bacc_strong": 0.6, "bacc_null_p95_strong": 0.53}})
    assert [text.get_text() for text in axes.texts].count("not attacked") == 3


def test_the_chosen_state_stands_on_test_items_with_its_interval_beside_a_random_order(drawn):
    rounds = pd.DataFrame({"round": [1, 2], "hr@10": [0.2, 0.3], "ndcg@10": [0.1, 0.2]})
    measured = {"hr@10": 0.25, "ndcg@10": 0.15, "intervals": {"hr@10": [0.2, 0.3], "ndcg@10": [0.1, 0.2]}}
    plots.plot_learning(rounds, 2, "validation", Path("it.png"), measured)
    (axes,) = drawn[0].axes
    levels = [
        float(line.get_ydata()[0]) for line in axes.lines if line.get_linestyle() == ":" and len(line.get_ydata())
    ]
    assert levels == pytest.approx([0.1, 0.0454], abs=1e-3)  # HR@10 and NDCG@10 of 1 + 99 in a random order
    assert axes.get_ylim()[0] == 0


def test_groups_are_drawn_from_0_with_gaps_on_both_sides_of_0(drawn):
    cells = {
        "M": {"mean": 0.3, "low": 0.2, "high": 0.4},
        "F": {"mean": 0.2, "low": 0.1, "high": 0.3, "gap": -0.1, "gap_low": -0.2, "gap_high": 0.02},
        "X": {"mean": 0.5},
    }
    report = {"users": {"M": 30, "F": 20, "X": 2}, "reference": "M", "metrics": {"ndcg@10": cells}}
    plots.plot_groups(report, "gender", Path("it.png"))
    means, gaps = drawn[0].axes
    assert means.get_xlim()[0] == 0
    low, high = gaps.get_xlim()
    assert -low == high > 0.2
    assert [text.get_text() for text in means.texts] == ["too few users"]


def test_the_quality_of_runs_is_drawn_from_0_beside_a_random_order(drawn):
    run = {"ndcg@10": 0.3, "intervals": {"ndcg@10": [0.2, 0.4]}}
    plots.plot_quality({"a": run, "b": run}, Path("it.png"))
    (axes,) = drawn[0].axes
    assert axes.get_xlim()[0] == 0
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
