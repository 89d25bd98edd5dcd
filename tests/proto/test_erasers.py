"""What a plan may say of an eraser, and who may see its sums."""

import pytest

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.task_pb2 import Adversary, Erased, Eraser, LocalUpdate, Plan, TaskManifest
from fedau2.v1.tensors_pb2 import (
    TENSOR_KIND_DENSE,
    TENSOR_KIND_TABLE,
    TENSOR_SCOPE_PRIVATE,
    TENSOR_SCOPE_STATISTIC,
    TensorSpec,
)
from fedau2.wire import erasers
from fedau2.wire.errors import ManifestError

GENDER = {"name": "gender", "attribute": "gender", "classes": ["M", "F"]}
GOOD = {
    "protects": ["latent"], "steps": 2, "frequencies": 4, "length": 0.03, "floor": 0.15, "rate": 0.1, "minimum": 10,
}  # fmt: skip
WIDTH = 3


def plan(*erased, steps_taken=1, **changes):
    eraser = Eraser(erased=[Erased(**part) for part in erased or (GENDER,)], **{**GOOD, **changes})
    return Plan(local=LocalUpdate(steps=steps_taken), eraser=eraser)


def task(*private, width=WIDTH, **changes):
    """A task with private tensors, each of two numbers, beside or in place of a latent."""
    derived = set(changes.get("protects", GOOD["protects"])) - set(private)
    made = TaskManifest(plan=plan(**changes), derived_states=sorted(derived))
    made.tensors.extend(TensorSpec(name=name, shape=[2], scope=TENSOR_SCOPE_PRIVATE) for name in private)
    for name, shape in erasers.shapes(made.plan.eraser, width).items():
        made.tensors.append(TensorSpec(name=name, shape=shape, scope=TENSOR_SCOPE_STATISTIC, kind=TENSOR_KIND_DENSE))
    return made


def test_a_good_eraser_passes():
    erasers.check(plan(), {"latent"})
    erasers.check_tensors(task())


@pytest.mark.parametrize(
    "change",
    [
        {"protects": ["other"]}, {"protects": []}, {"protects": ["latent", "latent"]}, {"steps": 0}, {"steps": 65},
        {"frequencies": 0}, {"frequencies": 4097}, {"length": 0}, {"length": float("nan")}, {"floor": -1},
        {"floor": float("inf")}, {"rate": 0}, {"rate": 1.5}, {"minimum": 0},
    ],
)  # fmt: skip
def test_a_bad_one_is_refused(change):
    with pytest.raises(ManifestError, match="eraser"):
        erasers.check(plan(**change), {"latent"})


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"attribute": ""}, {"classes": ["M"]}, {"classes": []}, {"classes": ["M", "M"]}]
)
def test_a_bad_attribute_is_refused(change):
    with pytest.raises(ManifestError, match="erased"):
        erasers.check(plan({**GENDER, **change}), {"latent"})


def test_an_eraser_erases_something_and_names_are_unique():
    with pytest.raises(ManifestError, match="no attribute"):
        erasers.check(Plan(local=LocalUpdate(steps=1), eraser=Eraser(**GOOD)), {"latent"})
    twice = plan()
    twice.adversaries.append(Adversary(name="gender"))
    with pytest.raises(ManifestError, match="same name"):
        erasers.check(twice, {"latent"})


def private_task(**changes):
    return task("first", "second", **{"protects": ["first", "second"], **changes})


@pytest.mark.parametrize("steps", [1, 2])
def test_private_tensors_side_by_side_pass_and_computed_states_beside_them(steps):
    erasers.check_tensors(private_task(width=4, steps_taken=steps))
    erasers.check_tensors(task("first", protects=["latent", "first"], width=5))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (private_task(width=3), "3 numbers"),
        (task("first", protects=["latent", "first"], width=2), "2 numbers"),
        (private_task(protects=["first"], width=2), "second would be shown as it is"),
        (task(steps_taken=2), "local.steps 1"),
    ],
)
def test_states_of_another_width_and_private_tensors_that_are_left_out_are_refused(made, why):
    with pytest.raises(ManifestError, match=why):
        erasers.check_tensors(made)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_computed_state_that_is_left_out_is_refused(steps):
    made = task("first", protects=["first"], width=2, steps_taken=steps)
    erasers.check_tensors(made)
    made.derived_states.append("node")
    with pytest.raises(ManifestError, match="computed state node would be shown as it is"):
        erasers.check_tensors(made)


def test_a_private_tensor_over_items_is_refused():
    made = private_task(width=4)
    made.tensors[0].item_axis = 1
    with pytest.raises(ManifestError, match="first depends on the catalogue"):
        erasers.check_tensors(made)


def test_a_device_that_moves_no_private_tensor_is_kept_away():
    made = private_task(width=4)
    made.required_features.append("eraser")
    with pytest.raises(ManifestError, match="does not require 'private-eraser'"):
        erasers.check_required(made)
    made.required_features.append("private-eraser")
    erasers.check_required(made)


@pytest.mark.parametrize("number", range(4))
def test_a_missing_or_wrong_tensor_is_refused(number):
    for change in ({"shape": [9]}, {"kind": TENSOR_KIND_TABLE}, {"item_axis": 1}):
        wrong = task()
        spec = wrong.tensors[number]
        spec.MergeFrom(TensorSpec(**{name: value for name, value in change.items() if name != "shape"}))
        spec.shape[:] = change.get("shape", spec.shape)
        with pytest.raises(ManifestError, match="eraser"):
            erasers.check_tensors(wrong)
    del wrong.tensors[number]
    with pytest.raises(ManifestError, match="lacks the tensor"):
        erasers.check_tensors(wrong)


def test_a_task_requires_the_feature_and_secure_sums():
    with pytest.raises(ManifestError, match="does not require 'eraser'"):
        erasers.check_required(TaskManifest(plan=plan()))
    erasers.check_required(TaskManifest(plan=plan(), required_features=["eraser"]))
    with pytest.raises(ManifestError, match="sums are not secure"):
        erasers.check_hidden(TaskManifest(plan=plan()))
    erasers.check_hidden(TaskManifest(plan=plan(), secure_sums=SecureSums(version=1)))
    erasers.check_hidden(TaskManifest())


def test_shifts_of_several_attributes_need_counts_by_two_classes():
    other = {"name": "age", "attribute": "age", "classes": ["young", "old"]}
    for several in ([GENDER], [GENDER, other]):
        for shifts in (False, True):
            made = plan(*several, shifts=shifts)
            erasers.check(made, {"latent"})
            shapes = erasers.shapes(made.eraser, WIDTH)
            assert tuple(shapes) == erasers.tensors(made)
            assert (erasers.PAIRS in shapes) == (shifts and len(several) > 1)
    assert shapes[erasers.PAIRS] == [4, 4]


def test_states_that_steps_see_apart_are_the_private_tensors_and_one_derived_state():
    assert erasers.widths(TaskManifest(plan=plan())) == ()
    assert erasers.widths(task()) == (WIDTH,)
    assert erasers.widths(task("a", "b", protects=["a", "b"], width=4)) == (2, 2)
    assert erasers.widths(task("a", protects=["node", "a"], width=5)) == (3, 2)
    assert erasers.widths(task("a", protects=["node", "a", "other"], width=9)) == (9,)
