"""Groups of users: gaps, intervals, users who do not tell, and groups that are too small."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from simulator.datasets import Attribute
from simulator.evaluation import by_group
from simulator.evaluation.quality import Quality
from simulator.evaluation.ranking import Ranks


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(by_group, "RESAMPLES", 400)
    monkeypatch.setattr(by_group, "LIST_RESAMPLES", 50)


def quality(ranks, seed=0, items=40):
    """Ranks, with drawn lists of 10 items."""
    rng = np.random.default_rng(seed)
    listed = np.stack([rng.choice(items, 10, replace=False) for _ in ranks])
    return Quality(Ranks(ranks, ranks, listed), (10,), rng.random(items))


def attribute(*counts, untold=0):
    """An attribute whose classes have so many users."""
    labels = np.repeat([*range(len(counts)), -1], [*counts, untold])
    return Attribute(tuple("MFX"[: len(counts)]), labels)


def test_a_gap_that_is_there_is_seen_and_one_that_is_not_is_not():
    men, women = np.zeros(200, np.int64), np.full(100, 50)
    report = by_group.compare(quality(np.concatenate([men, women])), {"gender": attribute(200, 100)})["gender"]
    assert report["reference"] == "M"
    assert report["users"] == {"M": 200, "F": 100}
    cell = report["metrics"]["hr@10"]["F"]
    assert (cell["mean"], cell["gap"], cell["gap_low"], cell["gap_high"]) == (0, -1, -1, -1)
    assert cell["p_holm"] == 0
    same = by_group.compare(quality(np.tile([0, 50], 150)), {"gender": attribute(200, 100)})["gender"]
    cell = same["metrics"]["hr@10"]["F"]
    assert cell["gap"] == 0
    assert cell["gap_low"] < 0 < cell["gap_high"]
    assert cell["p_holm"] == 1


@given(st.integers(80, 200), st.integers(80, 200), st.integers(0, 99))
@settings(max_examples=10)
def test_intervals_are_about_those_of_the_normal_distribution(ours, theirs, seed):
    ranks = np.random.default_rng(seed).integers(0, 30, size=ours + theirs)
    measured = quality(ranks)
    values, labels = measured.of_users["mrr"], attribute(ours, theirs)
    cells = by_group.compare(measured, {"it": labels})["it"]["metrics"]["mrr"]
    first, second = values[labels.labels == 0], values[labels.labels == 1]
    for name, group in (("M", first), ("F", second)):
        error = group.std() / np.sqrt(len(group))
        assert cells[name]["mean"] == pytest.approx(group.mean())
        assert cells[name]["low"] == pytest.approx(group.mean() - 1.96 * error, abs=0.6 * error + 1e-9)
        assert cells[name]["high"] == pytest.approx(group.mean() + 1.96 * error, abs=0.6 * error + 1e-9)
    (smaller,) = (name for name in cells if "p" in cells[name])
    assert cells[smaller]["p"] == pytest.approx(stats.ttest_ind(first, second, equal_var=False).pvalue)
    assert cells[smaller]["gap_low"] <= cells[smaller]["gap"] <= cells[smaller]["gap_high"]


def test_who_does_not_tell_is_a_group_and_too_few_have_no_interval():
    report = by_group.compare(quality(np.arange(61) % 20), {"it": attribute(40, 9, untold=12)})["it"]
    assert report["users"] == {"M": 40, by_group.NOT_TOLD: 12, "F": 9}
    cells = report["metrics"]["ndcg@10"]
    assert set(cells["F"]) == {"mean"}
    assert {"gap", "gap_low", "p", "p_holm"} < set(cells[by_group.NOT_TOLD])
    assert set(report["metrics"]["coverage@10"]) == {"M", by_group.NOT_TOLD}
    nobody = by_group.compare(quality(np.arange(4)), {"it": attribute(3, 1)})["it"]
    assert all(set(cell) == {"mean"} for cells in nobody["metrics"].values() for cell in cells.values())


def test_a_class_may_have_the_name_of_those_who_do_not_tell():
    named = Attribute((by_group.NOT_TOLD, "F"), np.array([0, 1, -1]))
    assert len(set(by_group.names_of(named))) == 3


def test_equal_lists_of_groups_have_no_gap_of_coverage_however_many_users_they_have():
    measured = quality(np.zeros(300, np.int64))
    measured.ranks.lists[:] = np.arange(10)
    cells = by_group.compare(measured, {"it": attribute(280, 20)})["it"]["metrics"]["coverage@10"]
    assert cells["M"]["mean"] == cells["F"]["mean"] == 10 / 40
    drawn = by_group.compare(quality(np.zeros(300, np.int64)), {"it": attribute(280, 20)})["it"]
    cell = drawn["metrics"]["coverage@10"]["F"]
    assert cell["gap_low"] <= 0 <= cell["gap_high"] + 0.02


def test_groups_that_are_formed_by_chance_seldom_differ_in_coverage_or_gini_index():
    rng, gaps = np.random.default_rng(0), []
    popular = 1 / np.arange(1, 301)
    lists = np.stack([rng.choice(300, 10, replace=False, p=popular / popular.sum()) for _ in range(300)])
    measured = Quality(Ranks(np.zeros(300, np.int64), np.zeros(300, np.int64), lists), (10,), np.ones(300))
    for _ in range(40):
        report = by_group.of_lists(measured, by_group.groups_of(rng.permutation(["M"] * 210 + ["F"] * 90).tolist()))
        gaps += [report[metric]["F"] for metric in ("coverage@10", "gini@10")]
    assert sum(not cell["gap_low"] <= 0 <= cell["gap_high"] for cell in gaps) <= 8
    assert sum(cell["gap"] > 0 for cell in gaps[::2]) == pytest.approx(20, abs=12)


def test_figures_are_the_same_each_time_plain_json_and_corrected_for_all_attributes():
    ranks = np.arange(120) % 23
    attributes = {"a": attribute(60, 40, 20), "b": attribute(70, 50)}
    first, again = (by_group.compare(quality(ranks), attributes) for _ in range(2))
    assert first == again == json.loads(json.dumps(first))
    cells = [cell for report in first.values() for cell in report["metrics"]["mrr"].values() if "p" in cell]
    assert len(cells) == 3
    assert min(cell["p_holm"] for cell in cells) == pytest.approx(min(1, 3 * min(cell["p"] for cell in cells)))
