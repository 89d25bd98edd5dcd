"""What a device computes from published maps, its key and its classes."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from client_sdk import erasing
from client_sdk.plan import EraserPlan
from fedau2.wire import erasers

PLAN = EraserPlan((("gender", 2), ("age", 3)), ("latent",), steps=2, frequencies=4, floor=0.5, seed=1)
WIDTH = 3
KEYS = st.binary(min_size=16, max_size=16)


def tensors(live=True):
    rows = erasers.FOLDS * PLAN.classes
    linear = np.zeros((1 + WIDTH, 1 + WIDTH), np.float32)
    if live:
        linear[1:, 1:], linear[0] = 2 * np.eye(WIDTH), [1, 7, 8, 9]
        linear[1:, 0] = [1, 2, 0]
    return {
        erasers.SCALE: np.array([1, 0], np.float32),
        erasers.LINEAR: linear,
        erasers.CLASSES: np.zeros((rows, 1 + WIDTH), np.float32),
        erasers.STEPS: np.zeros((2, rows, 9), np.float32),
    }


def test_before_the_first_round_nothing_is_moved_and_nothing_is_added():
    maps = erasing.Maps.of(PLAN, tensors(live=False))
    np.testing.assert_array_equal(maps.matrix, np.eye(WIDTH))
    assert not maps.offset.any()
    assert (maps.scale == 1).all()
    assert not maps.noise(PLAN, bytes(16), 0).any()


@given(KEYS, KEYS)
def test_the_floor_is_the_users_own_and_the_same_each_time(key, other):
    maps = erasing.Maps.of(PLAN, tensors())
    noise = maps.noise(PLAN, key, 3)
    assert noise.tobytes() == maps.noise(PLAN, key, 3).tobytes() == maps.noise(PLAN, key, 4).tobytes()
    assert key == other or (noise != maps.noise(PLAN, other, 3)).any()
    plan, shifting_maps = shifting()
    assert shifting_maps.noise(plan, key, 3).tobytes() == shifting_maps.noise(plan, key, 3).tobytes()
    assert (shifting_maps.noise(plan, key, 3) != shifting_maps.noise(plan, key, 4)).any()


def shifting():
    """A plan with shifts, and maps of which all classes but the last have one."""
    plan, drawn = replace(PLAN, shifts=True), np.random.default_rng(0)
    made = tensors()
    made[erasers.CLASSES][:4] = drawn.standard_normal((4, 1 + WIDTH))
    made[erasers.CLASSES][:4, 0] = 1
    return plan, erasing.Maps.of(plan, made)


@given(st.integers(-1, 1), st.integers(-1, 2))
def test_a_user_is_moved_by_shifts_where_all_classes_have_one_and_otherwise_by_the_linear_map(gender, age):
    plan, maps = shifting()
    known = {name: label for name, label in (("gender", gender), ("age", age)) if label >= 0}
    own = maps.of_user(plan, known)
    if gender < 0 or age in (-1, 2):
        assert own is maps
    else:
        np.testing.assert_array_equal(own.matrix, np.eye(WIDTH))
        np.testing.assert_array_equal(own.offset, maps.shifts[gender] + maps.shifts[2 + age])
    whole, shifts = maps.own_shifts(plan, {"gender": [gender, 0], "age": [age, 1]})
    np.testing.assert_array_equal(whole, [own is not maps, True])
    np.testing.assert_array_equal(shifts[0], own.offset if whole[0] else np.zeros(WIDTH))


def test_a_plan_without_shifts_uses_none():
    made = tensors()
    made[erasers.CLASSES][:] = 1
    maps = erasing.Maps.of(PLAN, made)
    assert maps.of_user(PLAN, {"gender": 0, "age": 0}) is maps


def test_the_floor_is_as_large_as_the_plan_says():
    maps = erasing.Maps.of(PLAN, tensors())
    drawn = np.stack([maps.noise(PLAN, number.to_bytes(16, "little"), 0) for number in range(2000)])
    np.testing.assert_allclose(drawn.std(0), [0.5, 1.0, 0.0], rtol=0.1)  # the last number is the same for all users


@given(KEYS, st.integers(-1, 1), st.integers(-1, 2))
def test_a_client_has_a_place_for_each_attribute_in_one_fold_or_none_at_all(key, gender, age):
    labels = {"gender": [gender], "age": [age]}
    (row,) = erasing.places(PLAN, [key], labels).reshape(1, erasers.FOLDS, PLAN.classes)
    if gender < 0 or age < 0:
        assert not row.any()
        return
    (fold,) = np.flatnonzero(row.any(1))
    assert np.flatnonzero(row[fold]).tolist() == [gender, 2 + age]
    again = erasing.places(PLAN, [bytes(16), key], {"gender": [0, gender], "age": [0, age]})
    np.testing.assert_array_equal(again[1], row.reshape(-1))


def test_all_folds_have_clients():
    keys = [number.to_bytes(16, "little") for number in range(200)]
    labels = {"gender": [0] * 200, "age": [0] * 200}
    counts = erasing.places(PLAN, keys, labels).reshape(200, erasers.FOLDS, -1)[:, :, 0].sum(0)
    assert counts.sum() == 200
    assert (counts > 20).all()
