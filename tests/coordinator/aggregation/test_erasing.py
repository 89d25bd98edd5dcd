"""The server's step on the sums of an eraser."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.aggregation import erasing
from coordinator.aggregation.optimizers import server_step
from coordinator.aggregation.succession import follow
from fedau2.erasing import kernel
from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.task_pb2 import Erased, Eraser, Plan, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_PRIVATE, TENSOR_SCOPE_STATISTIC, TensorSpec
from fedau2.wire import erasers
from fedau2.wire.succession import Succession

WIDTH, FREQUENCIES = 4, 8
USERS = 400
NAMES = (erasers.SCALE, erasers.LINEAR, erasers.CLASSES, erasers.STEPS)


def task(minimum=10, rate=1.0, secure=0, erased=(("gender", 2),), steps=2, **more):
    parts = [Erased(name=name, classes=[str(number) for number in range(classes)]) for name, classes in erased]
    numbers = {"length": 0.03, "rate": rate, "minimum": minimum, "seed": 1}
    eraser = Eraser(erased=parts, steps=steps, frequencies=FREQUENCIES, protects=["latent"], **numbers, **more)
    made = TaskManifest(plan=Plan(eraser=eraser))
    for name, shape in erasers.shapes(eraser, WIDTH).items():
        made.tensors.append(TensorSpec(name=name, shape=shape, scope=TENSOR_SCOPE_STATISTIC))
    if secure:
        made.secure_sums.CopyFrom(SecureSums(minimum=secure))
    return made


def fresh(made):
    tensors = {spec.name: np.zeros(tuple(spec.shape), np.float32) for spec in made.tensors}
    return tensors | {erasers.SCALE: np.array([1, 0], np.float32)}  # the unit is 1


def states(labels, seed=0, gap=1.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((len(labels[0]), WIDTH)) + gap * (labels[0][:, None] == 1) * [1, 0.5, 0, 0]


def mean_of(made, x, labels):
    """The mean of a round of users whose states are moved by no map yet; a label below 0 is not known."""
    known = np.all([part >= 0 for part in labels], 0)
    x, labels = x[known], [part[known] for part in labels]
    classes = [len(part.classes) for part in made.plan.eraser.erased]
    fold = np.arange(len(x)) % erasers.FOLDS
    marks = np.zeros((len(x), erasers.FOLDS, sum(classes)))
    for start, part in zip(np.cumsum([0, *classes]), labels, strict=False):
        marks[np.arange(len(x)), fold, start + part] = 1
    marks, row = marks.reshape(len(x), -1), np.concatenate([np.ones((len(x), 1)), x], 1)
    features = []
    for step in range(made.plan.eraser.steps):
        phases = x @ kernel.public(1, step, FREQUENCIES, erasers.widths(made)).T
        waves = np.concatenate([np.cos(phases), np.sin(phases)], 1) / np.sqrt(FREQUENCIES)
        features.append(marks.T @ np.concatenate([np.ones((len(x), 1)), waves], 1))
    sums = {erasers.LINEAR: row.T @ row, erasers.CLASSES: marks.T @ row, erasers.STEPS: np.stack(features)}
    sums[erasers.SCALE] = np.array([len(x), 0.0])
    if erasers.has_pairs(made.plan.eraser):
        members = marks.reshape(len(x), erasers.FOLDS, -1).sum(1)
        sums[erasers.PAIRS] = members.T @ members
    return {name: value / len(known) for name, value in sums.items()}


def rounds(made, cohorts, variances=None):
    checkpoint, state = fresh(made), {}
    for x, labels in cohorts:
        mean = mean_of(made, x, labels)
        checkpoint, state = server_step(made, checkpoint, state, mean, variances or {}, len(x))
    return checkpoint, state


def matrix(checkpoint):
    return checkpoint[erasers.LINEAR][1:, 1:].astype(float)


def apart(x, labels):
    """How far the means of the classes lie apart."""
    return np.linalg.norm(np.ptp(np.stack([x[labels == own].mean(0) for own in range(labels.max() + 1)]), axis=0))


def genders(users=USERS):
    return [np.arange(users) % 2]


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_map_brings_the_classes_together_and_keeps_the_mean(seed):
    labels = genders()
    x = states(labels, seed)
    checkpoint, _ = rounds(task(), [(x, labels)])
    linear = checkpoint[erasers.LINEAR].astype(float)
    moved = x @ linear[1:, 1:] + linear[0, 1:]
    gap, left = (values[labels[0] == 1].mean(0) - values[labels[0] == 0].mean(0) for values in (x, moved))
    assert np.linalg.norm(left) < 0.35 * np.linalg.norm(gap)
    np.testing.assert_allclose(moved.mean(0), x.mean(0), atol=1e-4)
    np.testing.assert_allclose(linear[1:, 0], moved.std(0), rtol=1e-3)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_shifts_bring_the_classes_together_and_keep_the_mean(seed):
    labels = genders()
    x = states(labels, seed)
    checkpoint, _ = rounds(task(shifts=True), [(x, labels)])
    published = checkpoint[erasers.CLASSES].astype(float)
    assert (published[:2, 0] == 1).all()
    assert not published[2:].any()
    moved = x + published[labels[0], 1:]
    gap, left = (values[labels[0] == 1].mean(0) - values[labels[0] == 0].mean(0) for values in (x, moved))
    assert np.linalg.norm(left) < 0.5 * np.linalg.norm(gap)
    np.testing.assert_allclose(moved.mean(0), x.mean(0), atol=1e-4)
    np.testing.assert_allclose(checkpoint[erasers.LINEAR][1:, 0], moved.std(0), rtol=1e-3)
    without, _ = rounds(task(), [(x, labels)])
    np.testing.assert_array_equal(matrix(checkpoint), matrix(without))  # for users who tell nothing


def test_a_class_that_is_held_back_has_no_shift_and_the_others_have():
    made = task(erased=(("age", 3),), shifts=True)
    labels = genders()
    checkpoint, _ = rounds(made, [(states(labels), labels)])
    np.testing.assert_array_equal(checkpoint[erasers.CLASSES][:4, 0], [1, 1, 0, 0])
    assert not checkpoint[erasers.CLASSES][2:].any()


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.7))
def test_shifts_of_attributes_that_go_together_add_up_to_what_brings_the_classes_of_each_together(seed, alike):
    rng, (gender,) = np.random.default_rng(seed), genders(5 * USERS)
    age = np.where(rng.random(5 * USERS) < alike, 2 * gender, rng.integers(0, 3, 5 * USERS))
    x = states([gender], seed) + (age == 2)[:, None] * [0, 1, 1, 0]
    made = task(erased=(("gender", 2), ("age", 3)), shifts=True)
    checkpoint, _ = rounds(made, [(x, [gender, age])])
    published = checkpoint[erasers.CLASSES].astype(float)
    assert (published[:5, 0] == 1).all()
    assert not checkpoint[erasers.PAIRS].any()  # a count by two classes is not served
    moved = x + published[gender, 1:] + published[2 + age, 1:]
    for label in (gender, age):
        gap, left = (apart(values, label) for values in (x, moved))
        assert left < 0.5 * gap
    np.testing.assert_allclose(moved.mean(0), x.mean(0), atol=1e-4)
    np.testing.assert_allclose(checkpoint[erasers.LINEAR][1:, 0], moved.std(0), rtol=1e-3)


def test_an_attribute_that_is_erased_twice_is_moved_once():
    labels = genders()
    x = states(labels)
    alone, _ = rounds(task(shifts=True), [(x, labels)])
    twice, _ = rounds(task(erased=(("gender", 2), ("sex", 2)), shifts=True), [(x, labels * 2)])
    of_both = twice[erasers.CLASSES][:2, 1:] + twice[erasers.CLASSES][2:4, 1:]
    np.testing.assert_allclose(of_both, alone[erasers.CLASSES][:2, 1:], atol=1e-5)


def test_an_attribute_with_one_class_leaves_the_shifts_of_another_as_they_are():
    labels = genders()
    x = states(labels)
    alone, _ = rounds(task(shifts=True), [(x, labels)])
    made = task(erased=(("age", 2), ("gender", 2)), shifts=True)
    both, _ = rounds(made, [(x, [np.zeros(USERS, int), *labels])])
    np.testing.assert_array_equal(both[erasers.CLASSES][:2], [[1, 0, 0, 0, 0]] * 2)  # a device adds nothing for them
    np.testing.assert_allclose(both[erasers.CLASSES][2:4], alone[erasers.CLASSES][:2], atol=1e-5)


def test_shifts_alone_are_maps_too():
    labels = genders()
    checkpoint, _ = rounds(task(shifts=True), [(states(labels), labels)])
    checkpoint[erasers.LINEAR][1:, 1:], checkpoint[erasers.STEPS][:] = np.eye(WIDTH), 0
    assert not erasing.lacking(task(shifts=True), checkpoint)


def test_nothing_but_maps_is_served():
    labels = genders()
    checkpoint, state = rounds(task(), [(states(labels), labels)])
    assert not checkpoint[erasers.CLASSES].any()
    assert not checkpoint[erasers.STEPS][:, 2:].any()
    assert {erasers.LINEAR, erasers.CLASSES, erasers.STEPS} <= set(state)


def test_classes_that_nothing_tells_apart_are_left_as_they_are():
    labels = genders()
    x = states(labels, gap=0.0)
    mirrored = np.concatenate([x, x])  # each state with both classes, in folds that do not agree by chance
    both = [np.repeat([0, 1], USERS)]
    checkpoint, _ = rounds(task(), [(mirrored, both)])
    np.testing.assert_allclose(matrix(checkpoint), np.eye(WIDTH), atol=1e-6)
    assert not checkpoint[erasers.STEPS].any()


def test_steps_are_left_out_for_a_state_in_which_nothing_tells_the_classes_apart():
    made = task(steps=6)
    made.tensors.append(TensorSpec(name="vector", shape=[2], scope=TENSOR_SCOPE_PRIVATE))
    made.plan.eraser.protects.append("vector")
    labels = [np.repeat([0, 1], USERS)]
    rng = np.random.default_rng(0)
    telling = rng.standard_normal((2 * USERS, 2)) * np.where(labels[0][:, None] == 0, 0.3, 3)
    alike = np.tile(rng.standard_normal((USERS, 2)), (2, 1))  # each state with both classes, in the same fold
    checkpoint, _ = rounds(made, [(np.concatenate([telling, alike], 1), labels)])
    assert [bool(part.any()) for part in checkpoint[erasers.STEPS]] == [True, True, False, True, True, False]


def test_a_class_of_one_user_of_a_round_holds_the_round_back():
    labels = genders()
    alone = [np.where(np.arange(USERS) == 7, 1, 0)]
    once = rounds(task(rate=0.5), [(states(labels), labels)])
    twice = rounds(task(rate=0.5), [(states(labels), labels), (states(alone, 1), alone)])
    for before, after in zip(once, twice, strict=True):
        for name in before.keys() - {erasers.SCALE}:
            assert before[name].tobytes() == after[name].tobytes()
    never, state = rounds(task(), [(states(alone), alone)])
    assert state == {}
    assert not never[erasers.LINEAR].any()


@given(st.integers(1, 9))
@settings(max_examples=9)
def test_what_is_served_does_not_depend_on_the_users_of_a_rare_class(users):
    rare, known = np.arange(USERS) % 2, genders()
    rare[:users] = 2
    made = task(erased=(("age", 3),), rate=0.5)
    served = [rounds(made, [(states(known), known), (states(known, seed), [rare])])[0] for seed in (1, 2)]
    assert all(served[0][name].tobytes() == served[1][name].tobytes() for name in NAMES)


def test_a_class_that_dies_out_is_forgotten_and_the_others_are_erased():
    made = task(erased=(("age", 3),), rate=0.5)
    three, two = [np.arange(USERS) % 3], genders()
    checkpoint, _ = rounds(made, [(states(three), three)] + [(states(two, seed), two) for seed in range(1, 8)])
    witness = checkpoint[erasers.STEPS][0, :3]
    assert np.linalg.matrix_rank(np.eye(WIDTH) - matrix(checkpoint), tol=1e-3) == 1
    assert not witness[2].any()


def test_an_attribute_with_one_class_is_not_erased_and_another_is():
    made = task(erased=(("gender", 2), ("age", 2)))
    labels = [np.arange(USERS) % 2, np.zeros(USERS, int)]
    both, _ = rounds(made, [(states(labels), labels)])
    alone, _ = rounds(task(), [(states(labels), labels[:1])])
    np.testing.assert_allclose(matrix(both), matrix(alone), atol=1e-6)


def test_users_who_change_their_class_are_erased_by_the_new_one():
    labels = genders()
    x = states(labels)
    checkpoint, _ = rounds(task(), [(x, labels), (x, [1 - labels[0]])])
    again, _ = rounds(task(), [(x, labels)])
    np.testing.assert_allclose(matrix(checkpoint), matrix(again), atol=1e-5)


def test_too_few_users_for_the_width_get_no_map_but_a_floor():
    labels = [np.arange(4) % 2]
    made = task(minimum=1)
    checkpoint, _ = rounds(made, [(states(labels), labels)])
    np.testing.assert_array_equal(matrix(checkpoint), np.eye(WIDTH))
    assert (checkpoint[erasers.LINEAR][1:, 0] > 0).all()
    assert erasing.lacking(made, checkpoint)


def test_maps_are_kept_while_averages_are_worth_too_few_users():
    """So a bundle that goes on from another, and carries maps alone, erases from the first round on."""
    labels = genders()
    made = task(minimum=1)
    served, _ = rounds(made, [(states(labels), labels)])
    few = [np.arange(4) % 2]
    x = states(few, seed=9)
    after, state = server_step(made, served, {}, mean_of(made, x, few), {}, len(x))
    for name in (erasers.LINEAR, erasers.STEPS):
        assert after[name].tobytes() == served[name].tobytes()
    again, _ = server_step(made, after, state, mean_of(made, states(labels, 1), labels), {}, USERS)
    assert not erasing.lacking(made, again)
    assert again[erasers.LINEAR].tobytes() != served[erasers.LINEAR].tobytes()


def successor(made, served, state, new):
    way = Succession.of(["a"], ["a"])
    return follow(made, new, way, served, state, fresh(new))


def trained(made):
    labels = genders()
    return rounds(made, [(states(labels), labels)])


def test_a_successor_goes_on_with_maps_and_averages_whatever_its_rate_and_floor():
    made, labels = task(rate=0.5), genders()
    begun = successor(made, *trained(made), task(rate=0.5, minimum=12))
    served, state = trained(made)
    for ours, theirs in zip(begun, (served, state), strict=True):
        assert {name: value.tobytes() for name, value in ours.items()} == {
            name: value.tobytes() for name, value in theirs.items()
        }
    mean = mean_of(made, states(labels, 1), labels)
    one, other = (server_step(made, *both, mean, {}, USERS)[0] for both in (begun, (served, state)))
    assert all(one[name].tobytes() == other[name].tobytes() for name in NAMES)


def renamed(made):
    made.plan.eraser.erased[0].classes.reverse()
    return made


def shifting(made):
    made.plan.eraser.shifts = True
    return made


def seeded(made):
    made.plan.eraser.seed += 1
    return made


def differing_states(made):
    made.tensors.append(TensorSpec(name="vector", shape=[2], scope=TENSOR_SCOPE_PRIVATE))
    made.plan.eraser.protects.append("vector")
    return made


@pytest.mark.parametrize("change", [renamed, seeded, shifting, differing_states])
def test_maps_of_another_eraser_are_not_carried_over(change):
    made, new = task(), change(task())
    begun, state = successor(made, *trained(made), new)
    assert erasing.lacking(new, begun)
    assert state == {}
    assert all(begun[name].tobytes() == fresh(new)[name].tobytes() for name in NAMES)


def test_a_model_without_maps_is_found_lacking():
    labels = genders()
    assert erasing.lacking(task(), fresh(task()))
    assert not erasing.lacking(task(), rounds(task(), [(states(labels), labels)])[0])
    assert not erasing.lacking(TaskManifest(), {})


def test_users_who_tell_nothing_take_no_part():
    labels = genders()
    x, silent = states(labels), np.concatenate([labels[0], np.full(USERS, -1)])
    strangers = 100 + np.random.default_rng(5).standard_normal((USERS, WIDTH))
    alone, _ = rounds(task(), [(x, labels)])
    among, _ = rounds(task(), [(np.concatenate([x, strangers]), [silent])])
    for name in (erasers.LINEAR, erasers.STEPS):
        np.testing.assert_allclose(alone[name], among[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("missing", [erasers.LINEAR, erasers.CLASSES, erasers.STEPS, erasers.PAIRS])
def test_a_sum_that_stays_closed_changes_nothing(missing):
    labels = genders() * 2
    made = task(secure=64, erased=(("gender", 2), ("age", 2)), shifts=True)
    mean = mean_of(made, states(labels), labels)
    del mean[missing]
    after, state = server_step(made, fresh(made), {}, mean)
    assert state == {}
    assert not after[erasers.LINEAR].any()


def test_known_noise_hides_whether_an_empty_class_is_empty():
    labels = [np.arange(USERS) % 2]
    made = task(erased=(("age", 3),))
    mean = mean_of(made, states(labels), labels)
    mean[erasers.CLASSES][2, 0] += 1 / USERS
    held_back = server_step(made, fresh(made), {}, mean, {}, USERS)[1]
    assert held_back == {}
    assert server_step(made, fresh(made), {}, mean, {erasers.CLASSES: (1 / USERS) ** 2}, USERS)[1]
