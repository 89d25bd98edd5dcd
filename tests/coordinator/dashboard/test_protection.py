"""The page names what protects devices, and says of each setting whether it does."""

import copy

import pytest

from coordinator.dashboard import protection
from fedau2.v1 import task_pb2
from fedau2.v1.admin_pb2 import SecureSumsStatus, Task
from fedau2.v1.task_pb2 import Matching
from fedau2.wire.secure import privacy
from tests.coordinator import hidden

STATUS = SecureSumsStatus(epsilon=3.25, delta=1e-6)


def shown(manifest, task=None):
    return {setting.name: setting for setting in protection.settings(task or Task(), manifest)}


def test_a_plain_task(tools):
    task = tools.make_bundle(clip_norm=10).manifest
    task.plan.server.clip_medians = 4
    lines = shown(task)
    assert lines["Protection of gender"].value == "adversary with the head mlp, reversal with the trigger sut, of user"
    assert lines["Protection of gender"].on
    assert (lines["Weight against gender (epsilon)"].value, lines["Weight against gender (epsilon)"].on) == ("1", True)
    assert (lines["Clip of a contribution"].value, lines["Clip of a contribution"].on) == (
        "L2 norm 10, and 4 running medians",
        True,
    )
    for name in ("Secure sums", "Row threshold", "Aggregation", "Cover rows", "Clip of gender"):
        assert not lines[name].on


@pytest.mark.parametrize(
    ("change", "name", "value", "on"),
    [
        (
            lambda plan: plan.adversaries[0].MergeFrom(task_pb2.Adversary(trigger=1)),
            "Protection of gender",
            "off",
            False,
        ),
        (lambda plan: setattr(plan.adversaries[0], "epsilon", 0), "Weight against gender (epsilon)", "0", False),
        (lambda plan: setattr(plan.adversaries[0], "objective", 2), "Protection of gender", "confusion", True),
        (lambda plan: setattr(plan.adversaries[0], "clip_norm", 2), "Clip of gender", "L2 norm 2", True),
        (lambda plan: setattr(plan.local, "cover_rows", 1.5), "Cover rows", "1.5 for each row", True),
        (lambda plan: plan.ClearField("adversaries"), "Protection of attributes", "unlearns nothing", False),
        (
            lambda plan: plan.matchings.append(Matching(name="m", attribute="age", protects=["user"], weight=2)),
            "Protection of age",
            "matching of user with the weight 2",
            True,
        ),
    ],
)
def test_a_setting_of_the_plan_is_shown_as_it_is(tools, change, name, value, on):
    manifest = copy.deepcopy(tools.make_bundle().manifest)
    change(manifest.plan)
    line = shown(manifest)[name]
    assert value in line.value
    assert line.on == on


def test_noise_of_an_adversary_is_shown_beside_its_clip(tools):
    manifest = tools.make_bundle().manifest
    manifest.plan.adversaries[0].clip_norm, manifest.plan.adversaries[0].noise_multiplier = 1, 0.5
    assert shown(manifest)["Noise on gender"].value == "0.5 times the clip, on each device"


def test_a_robust_aggregation_protects(tools):
    task = Task(closing=task_pb2.ClosingRule(aggregation=task_pb2.AGGREGATION_TRIMMED_MEAN))
    line = shown(tools.make_bundle().manifest, task)["Aggregation"]
    assert (line.value, line.on) == ("trimmed mean", True)


def test_a_task_with_secure_sums():
    lines = shown(hidden.bundle().manifest, Task(secure_sums=STATUS))
    assert "at least 64 contributions" in lines["Secure sums"].value
    assert (lines["Row threshold"].value, lines["Row threshold"].on) == ("10 devices", True)
    assert "tower 8" in lines["Clip of a contribution"].value
    assert not lines["Noise on sums"].on
    assert lines["Epsilon of differential privacy"].value == "at most 3.25 at delta 1e-06, of all sums so far"
    assert "Aggregation" not in lines


def test_a_policy_with_noise_opens_every_row():
    lines = shown(hidden.bundle(noise_multiplier=1.5, row_threshold=1).manifest)
    assert (lines["Noise on sums"].value, lines["Noise on sums"].on) == ("1.5 times the clip", True)
    assert (lines["Row threshold"].value, lines["Row threshold"].on) == ("1 device", False)
    assert "Epsilon of differential privacy" not in lines
    capped = lines["Contributions of one device"]
    assert (capped.value, capped.on) == ("any number", False)
    assert "Budget of epsilon" not in lines


def test_a_cap_of_contributions_bounds_epsilon_for_good():
    policy = hidden.bundle(noise_multiplier=2.0, max_participations=3, row_threshold=1).manifest
    lines = shown(policy, Task(secure_sums=STATUS))
    assert (lines["Contributions of one device"].value, lines["Contributions of one device"].on) == ("at most 3", True)
    most = privacy.epsilon(privacy.mu(3, 2.0), privacy.SERVED_DELTA)
    assert f"at most {most:.3g} at delta 1e-06, however many" in lines["Budget of epsilon"].value
