"""Laws of what a device does to its contribution before it leaves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.protocol import defences
from fedau2.v1.task_pb2 import Adversary, LocalUpdate, Plan, TaskManifest
from fedau2.wire.contributions import Rows

ITEMS = 60
KEY = bytes(range(16))


def task(clip_norm=0.0, noise=0.0, cover=0.0):
    adversaries = [Adversary(name=name, clip_norm=clip_norm, noise_multiplier=noise) for name in ("a", "b")]
    return TaskManifest(items=ITEMS, plan=Plan(adversaries=adversaries, local=LocalUpdate(cover_rows=cover)))


def contribution(seed=0, rows=12, scale=1.0):
    rng = np.random.default_rng(seed)
    indices = np.sort(rng.choice(ITEMS, rows, replace=False))
    adversary = {
        f"adversary.{name}.{tensor}": np.float32(scale) * rng.standard_normal((3, 2), np.float32)
        for name in ("a", "b")
        for tensor in ("hidden", "head")
    }
    tables = {f"table{n}": Rows(indices, rng.standard_normal((rows, 4), np.float32)) for n in range(2)}
    return {**adversary, **tables, "dense": rng.standard_normal(5, np.float32)}


def norm(sent, name):
    parts = [value for key, value in sent.items() if key.startswith(f"adversary.{name}.")]
    return float(np.sqrt(sum((part.astype(np.float64) ** 2).sum() for part in parts)))


def test_without_options_nothing_changes():
    sent = contribution()
    kept = defences.defend(task(), sent, KEY, 3)
    assert not defences.active(task().plan)
    assert kept.keys() == sent.keys()
    assert all(kept[name] is sent[name] for name in sent)


@settings(deadline=None)
@given(st.integers(0, 99), st.floats(0.01, 10), st.floats(0.01, 10))
def test_what_goes_to_each_adversary_is_no_longer_than_its_norm(seed, clip_norm, scale):
    before = contribution(seed, scale=scale)
    after = defences.defend(task(clip_norm), before, KEY, 3)
    for name in ("a", "b"):
        assert norm(after, name) <= clip_norm * (1 + 1e-5) or norm(before, name) <= clip_norm
        assert norm(after, name) == pytest.approx(min(clip_norm, norm(before, name)), rel=1e-5)
        ratio = after[f"adversary.{name}.head"] / before[f"adversary.{name}.head"]
        np.testing.assert_allclose(ratio, ratio.ravel()[0], rtol=1e-4)
    assert after["dense"] is before["dense"]
    assert after["table0"] is before["table0"]


def test_noise_has_the_size_that_the_plan_says_and_hits_nothing_else():
    drawn = []
    before = contribution()
    for number in range(300):
        noisy = defences.defend(task(0.5, 3.0), before, KEY, number)
        exact = defences.defend(task(0.5), before, KEY, number)
        drawn += [noisy[name] - exact[name] for name in before if name.startswith("adversary.")]
        assert noisy["dense"] is before["dense"]
    values = np.concatenate([each.ravel() for each in drawn])
    assert values.std() == pytest.approx(1.5, rel=0.03)
    assert abs(values.mean()) < 0.05


def test_noise_is_the_keys_own_of_each_round_and_adversary():
    sent = {name: np.zeros((3, 2), np.float32) for name in ("adversary.a.head", "adversary.b.head")}
    first = defences.defend(task(1, 1), sent, KEY, 0)
    again, later, other = (
        defences.defend(task(1, 1), sent, key, number) for key, number in ((KEY, 0), (KEY, 1), (bytes(16), 0))
    )
    np.testing.assert_array_equal(first["adversary.a.head"], again["adversary.a.head"])
    for one in (later["adversary.a.head"], other["adversary.a.head"], first["adversary.b.head"]):
        assert not np.isclose(first["adversary.a.head"], one).any()
    alone = defences.defend(task(1, 1), {"adversary.b.head": sent["adversary.b.head"]}, KEY, 0)
    np.testing.assert_array_equal(alone["adversary.b.head"], first["adversary.b.head"])


def test_what_is_drawn_in_one_task_cannot_be_taken_off_with_another():
    before = contribution()
    one, other = task(0.5, 3.0, cover=1.0), task(0.5, 3.0, cover=1.0)
    other.checkpoint.sha256 = bytes(32)
    sent, again, elsewhere = (defences.defend(each, before, KEY, 0) for each in (one, one, other))
    for name in before:
        if name.startswith("adversary."):
            np.testing.assert_array_equal(sent[name], again[name])
            assert not np.isclose(sent[name], elsewhere[name]).any()
    table, there = sent["table0"], elsewhere["table0"]
    # Items that are in one task alone would be known to be cover.
    np.testing.assert_array_equal(table.indices, there.indices)
    cover = ~np.isin(table.indices, before["table0"].indices)
    assert not (table.values[cover] == there.values[cover]).all()


def test_two_tasks_of_one_manifest_share_cover_items_and_no_noise():
    before, each = contribution(), task(0.5, 3.0, cover=1.0)
    keys = [bytes(16), bytes(16), bytes(range(16))]  # for one task twice, and for the other
    sent, again, elsewhere = (defences.defend(each, before, key, 0, KEY) for key in keys)
    for name in before:
        if name.startswith("adversary."):
            np.testing.assert_array_equal(sent[name], again[name])
            assert not np.isclose(sent[name], elsewhere[name]).any()
    np.testing.assert_array_equal(sent["table0"].indices, elsewhere["table0"].indices)
    cover = ~np.isin(sent["table0"].indices, before["table0"].indices)
    assert not (sent["table0"].values[cover] == elsewhere["table0"].values[cover]).all()


def test_who_carries_no_adversary_gets_no_noise():
    assert defences.defend(task(1, 1), {"dense": np.ones(2, np.float32)}, KEY, 0).keys() == {"dense"}


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, ITEMS), st.floats(0.125, 8, width=32))
def test_cover_rows_lie_between_the_rows_and_leave_them_as_they_are(seed, rows, cover):
    before = contribution(seed, rows)
    after = defences.defend(task(cover=cover), before, KEY, 5)
    sizes = set()
    for name in ("table0", "table1"):
        own, all_rows = before[name], after[name]
        assert (np.diff(all_rows.indices) > 0).all()
        np.testing.assert_array_equal(all_rows.values[np.isin(all_rows.indices, own.indices)], own.values)
        assert np.isfinite(all_rows.values).all()
        sizes.add(tuple(all_rows.indices))
    assert len(sizes) == 1
    assert len(after["table0"].indices) == min(ITEMS, rows + round(cover * rows))


def test_a_cover_row_is_no_multiple_of_another_and_has_the_size_of_own_ones():
    before = contribution(rows=20)
    sizes = []
    for number in range(50):
        after = defences.defend(task(cover=2.0), before, KEY, number)
        for name in ("table0", "table1"):
            cover = ~np.isin(after[name].indices, before[name].indices)
            unit = after[name].values / np.linalg.norm(after[name].values, axis=1, keepdims=True)
            alike = np.abs(unit @ unit.T) - np.eye(len(unit))
            # A sum of the same row three times is a multiple, and rare.
            assert (alike[cover].max(1) > 1 - 1e-6).mean() < 0.1
            sizes.append((after[name].values[cover] ** 2).sum(1))
    own = np.mean([(before[name].values ** 2).sum(1).mean() for name in ("table0", "table1")])
    assert np.mean(np.concatenate(sizes)) == pytest.approx(own, rel=0.15)


def test_cover_items_come_again_and_their_rows_add_nothing_on_average():
    before = contribution(rows=10)
    rounds = [defences.defend(task(cover=1.0), before, KEY, number)["table0"] for number in range(400)]
    assert len({tuple(each.indices) for each in rounds}) == 1
    fake = ~np.isin(rounds[0].indices, before["table0"].indices)
    mean = np.mean([each.values[fake] for each in rounds], 0)
    assert np.abs(mean).max() < 0.25
    others = defences.defend(task(cover=1.0), before, bytes(16), 0)["table0"]
    assert tuple(others.indices) != tuple(rounds[0].indices)
