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


@pytest.mark.parametrize(("split", "items"), [("validation", "Validation items"), ("paper", "Test items")])
def test_a_round_is_a_whole_number_the_items_are_named_and_the_legend_hides_nothing(drawn, split, items):
    rounds = pd.DataFrame({"round": [1, 2, 3], "hr@10": [0.2, 0.3, 0.4], "ndcg@10": [0.1, 0.2, 0.3]})
    plots.plot_learning(rounds, 3, split, Path())
    (figure,) = drawn
    (axes,) = figure.axes
    assert figure.get_suptitle() == f"{items}, 1 + 99 candidates"
    assert all(tick == round(tick) for tick in axes.get_xticks())
    figure.canvas.draw()
    assert axes.get_legend().get_window_extent().y1 < axes.bbox.y0


@pytest.mark.parametrize("chance", [0.5, 1 / 3])
def test_each_run_has_its_bars_and_more_leakage_is_more_ink(tmp_path, chance):
    plots.plot_leakage({"Original": metrics(0.7), "FedAU2": metrics(0.55)}, "it", chance, tmp_path / "both.png")
    original, fedau2 = (coloured(tmp_path / "both.png", colour) for colour in (drawing.BLUE, drawing.ORANGE))
    assert original > fedau2 > 0.01


def test_the_attribute_is_named_and_its_axis_holds_every_bar_and_ends_at_1(drawn):
    plots.plot_leakage({"it": metrics(1.0) | {"bacc_paper": 0.2}}, "age", 1 / 3, Path())
    (figure,) = drawn
    low, high = figure.axes[0].get_ylim()
    assert figure.get_suptitle().endswith("about age")
    assert low < 0.2
    assert high == 1.0
    plots.plot_leakage({"it": metrics(0.5) | {"bacc_null_p95_strong": 0.7}}, "age", 1 / 3, Path())
    assert 0.7 < drawn[1].axes[0].get_ylim()[1] < 0.8


def test_bars_begin_at_0_and_show_the_deviation_over_splits(drawn):
    leaks = {"leak_dlg": 0.6, "bacc_std_strong": 0.04}
    plots.plot_leakage({"it": metrics(0.6) | leaks}, "age", 0.5, Path())
    (axes,) = drawn[0].axes
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylabel()
    (errors,) = [bars.errorbar for bars in axes.containers if hasattr(bars, "errorbar") and bars.errorbar]
    heights = [abs(high - low) for (_, low), (_, high) in errors.lines[2][0].get_segments()]
    assert heights == pytest.approx([0, 0.08, 0, 0, 0])


def test_attacks_on_uploads_are_plotted_for_the_runs_that_have_them(tmp_path):
    leaks = {"leak_dlg": 0.5, "leak_analytic": 0.8, "leak_analytic_20": 1.0}
    plots.plot_leakage({"Original": metrics(0.6), "FedAU2": metrics(0.6) | leaks}, "it", 0.5, tmp_path / "one.png")
    original, fedau2 = (coloured(tmp_path / "one.png", colour) for colour in (drawing.BLUE, drawing.ORANGE))
    assert fedau2 > 1.5 * original > 0.005
