"""What a manifest may say about the weights of interactions."""

from math import inf, nan

import pytest

from export.bundle import build
from export.errors import PlanError
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import manifest
from fedau2.wire.errors import ManifestError
from fedau2.wire.weights import FEATURE
from tests import plans

KINDS = ("view", "like", "purchase", "rating")


def weighted(**changes):
    plan = plans.make("fedncf", **{f"interactions__{name}": value for name, value in changes.items()})
    return build("fedncf", ["a", "b", "c"], plan, 1, training=False).manifest


def test_a_plan_with_weights_keeps_older_devices_away():
    assert list(weighted(view=0.5).required_features) == [FEATURE]
    assert not weighted().required_features
    assert not weighted().plan.HasField("interactions")


def test_without_the_feature_it_is_refused():
    task = TaskManifest()
    task.CopyFrom(weighted(view=0.5))
    del task.required_features[:]
    with pytest.raises(ManifestError, match=FEATURE):
        manifest.check(task)


@pytest.mark.parametrize("name", [*KINDS, "lowest_rating", "full_rating"])
@pytest.mark.parametrize("value", [-0.5, nan, inf, -inf, 2e6])
def test_weights_out_of_range_are_refused(name, value):
    task = TaskManifest()
    task.CopyFrom(weighted(view=0.5))
    setattr(task.plan.interactions, name, value)
    with pytest.raises(ManifestError, match=f"interactions.{name}"):
        manifest.check(task)


def test_no_kind_that_counts_is_refused():
    with pytest.raises(PlanError, match="no kind is a positive"):
        weighted(**dict.fromkeys(KINDS, 0))


def test_a_setting_of_ratings_without_ratings_is_refused():
    with pytest.raises(PlanError, match="lowest_rating has no effect"):
        weighted(rating=0, lowest_rating=3)
