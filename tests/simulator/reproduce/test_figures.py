import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from simulator.reporting.drawing import BLUE, COLOURS, ORANGE
from simulator.reproduce import figures, report
from simulator.reproduce.experiments import EXPERIMENTS

ROWS = {"original": (0.37, 0.68), "weak": (0.36, 0.66), "beaten": (0.33, 0.67), "strong": (0.34, 0.55)}


def summary(**more):
    methods = list(ROWS)
    ndcg, bacc = np.array(list(ROWS.values())).T
    columns = {"method": methods, "ndcg@10": ndcg, "bacc_strong": bacc, "bacc_strong_null": 0.54, **more}
    frame = pd.DataFrame(columns)
    for name in ("ndcg@10", "bacc_strong", *more):
        frame[f"{name}_std"] = np.nan
    return frame


def ink(path, colour):
    """Share of the picture's pixels that have a colour like `#2b6cb0`."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return (np.abs(imread(path)[..., :3] * 255 - rgb).max(-1) < 3).mean()


def test_the_frontier_is_what_nothing_beats():
    frame = summary()
    best = {row["method"] for _, row in frame.iterrows() if figures._unbeaten(row, frame)}
    assert best == {"original", "weak", "strong"}


def test_the_frontier_is_drawn_and_what_failed_is_left_out(tmp_path):
    failed = pd.DataFrame({"method": ["epsilon-9-lambda-1"]})
    figures.plot_frontier(summary(), "it", tmp_path / "plain.png")
    figures.plot_frontier(pd.concat([summary(), failed]), "it", tmp_path / "failed.png")
    assert (imread(tmp_path / "plain.png") == imread(tmp_path / "failed.png")).all()
    assert ink(tmp_path / "plain.png", BLUE) > 0
    assert ink(tmp_path / "plain.png", ORANGE) > 0


@pytest.mark.parametrize("kinds", [[], ["leak_dlg"], ["leak_dlg", "leak_analytic", "loss_std"]])
def test_each_kind_of_metric_has_a_panel(tmp_path, kinds):
    frame = summary(**{name: np.linspace(0.4, 0.9, len(ROWS)) for name in kinds})
    figures.plot_dots(frame, ["ndcg@10", "bacc_strong", *kinds], "it", tmp_path / "dots.png")
    panels = 2 + ("leak_dlg" in kinds) + ("loss_std" in kinds)
    assert imread(tmp_path / "dots.png").shape[1] == pytest.approx(120 * (4.2 * panels + 1.2), abs=1)
    assert ink(tmp_path / "dots.png", ORANGE) > 0 if "leak_analytic" in kinds else ink(tmp_path / "dots.png", BLUE) > 0


def test_a_small_difference_does_not_fill_the_picture(drawn, tmp_path):
    ndcg = [0.2, 0.3, 0.22738, 0.22722]
    for rows in (summary(), summary().assign(**{"ndcg@10": ndcg}).tail(2)):
        figures.plot_dots(rows, ["ndcg@10", "bacc_strong"], "it", tmp_path / "dots.png")
    (low, high), (least, most) = (figure.axes[0].get_xlim() for figure in drawn)
    assert (low, high) == pytest.approx((0.328, 0.372))
    assert (least, most) == pytest.approx((0.2273 * 0.975, 0.2273 * 1.025))


@pytest.mark.parametrize(
    ("name", "split", "label"),
    [
        ("fig3", "validation", "validation NDCG@10"),
        ("fig3", "paper", "test NDCG@10"),
        ("ablation", "validation", "loss"),
    ],
)
def test_by_round_it_is_said_on_which_items(drawn, tmp_path, name, split, label):
    group = {"model": "fedncf", "dataset": "d", "attribute": "a", "method": "sut"}
    frame = pd.DataFrame([{**group, "run": "r", "status": "done", "evaluation.split": split}])
    rounds = pd.DataFrame({"round": [1, 2], "loss": [2.0, 1.0], "ndcg@10": [0.1, 0.2]})
    (tmp_path / "runs/r").mkdir(parents=True)
    rounds.to_parquet(tmp_path / "runs/r/rounds.parquet")
    rows = summary().tail(1).assign(runs=1, failed=0, **group)
    report.draw(EXPERIMENTS[name], frame, rows, tmp_path)
    assert drawn[-1].axes[0].get_ylabel() == label
    assert all(tick == round(tick) for tick in drawn[-1].axes[0].get_xticks())


def test_curves_and_triggers_are_drawn(tmp_path):
    rounds = pd.DataFrame({"round": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "ndcg@10": [np.nan, 0.1, np.nan]})
    seeds = [rounds, rounds.assign(loss=rounds["loss"] + 1)]
    figures.plot_curves({"a": seeds, "b": [rounds]}, "loss", "loss", "it", tmp_path / "curves.png")
    assert min(ink(tmp_path / "curves.png", colour) for colour in COLOURS[:2]) > 0
    frame = summary(trigger_rate_M=[np.nan, 0.9, 0.6, 0.5], trigger_rate_F=[np.nan, 0.1, 0.4, 0.5])
    figures.plot_triggers(frame, ["M", "F"], "it", tmp_path / "triggers.png")
    assert ink(tmp_path / "triggers.png", BLUE) > ink(tmp_path / "triggers.png", ORANGE) > 0.01
