"""Which rounds are passes, and the tasks that cannot have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_ADVERSARY, TensorSpec
from fedau2.wire.errors import ManifestError
from fedau2.wire.passes import FEATURE, MOST, check, moves


@given(passes=st.integers(0, MOST), first=st.integers(0, 2**40))
def test_one_round_of_each_cycle_moves_the_recommender(passes, first):
    assert sum(moves(passes, number) for number in range(first, first + passes + 1)) == 1


@given(number=st.integers(0, 2**40))
def test_without_passes_every_round_does(number):
    assert moves(0, number)


def spoil_items(task):
    task.tensors.append(TensorSpec(name="adversary.g.hidden.weight", scope=TENSOR_SCOPE_ADVERSARY, item_axis=2))
    task.secure_sums.row_threshold = 2


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda task: task.required_features.clear(), "does not require 'passes'"),
        (lambda task: setattr(task.plan.server, "passes", MOST + 1), "at most 1000"),
        (lambda task: task.plan.ClearField("adversaries"), "nothing would learn"),
        (lambda task: task.plan.server.buffered.SetInParent(), "most_stale"),
        (lambda task: setattr(task.plan.server, "clip_medians", 2.0), "clip_medians"),
        (spoil_items, r"adversary\.g\.hidden\.weight would stay closed"),
    ],
)
def test_what_passes_cannot_have_is_refused(spoil, why):
    task = TaskManifest(required_features=[FEATURE])
    task.plan.server.passes = 1
    task.plan.adversaries.add()
    check(task)
    spoil(task)
    with pytest.raises(ManifestError, match=why):
        check(task)
