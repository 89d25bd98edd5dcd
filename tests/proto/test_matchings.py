"""What a plan may say of matchings, and who may see their statistics."""

import pytest

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.task_pb2 import Adversary, LocalUpdate, Matching, Plan, TaskManifest
from fedau2.wire import matchings
from fedau2.wire.errors import ManifestError

GOOD = {
    "name": "m", "attribute": "gender", "classes": ["M", "F"], "protects": ["latent"], "frequencies": 8,
    "bandwidth": 1.0, "ridge": 0.1, "weight": 1.0, "rate": 0.1, "minimum": 10,
}  # fmt: skip


def plan(*matchings, steps=1, **changes):
    return Plan(local=LocalUpdate(steps=steps), matchings=matchings or [Matching(**{**GOOD, **changes})])


def test_a_good_matching_passes():
    matchings.check(plan(), {"latent"})


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""}, {"name": "a.b"},
        {"attribute": ""}, {"classes": ["M"]}, {"classes": ["M", "M"]}, {"protects": []}, {"protects": ["other"]},
        {"frequencies": 0}, {"frequencies": 4097}, {"bandwidth": 0}, {"bandwidth": float("nan")},
        {"ridge": 0}, {"weight": -1}, {"weight": float("inf")},
        {"rate": 0}, {"rate": 1.5}, {"minimum": 0}, {"steps": 2},
    ],
)  # fmt: skip
def test_a_bad_one_is_refused(change):
    with pytest.raises(ManifestError):
        matchings.check(plan(**change), {"latent"})


def test_names_are_unique_among_adversaries_and_matchings():
    twice = plan()
    twice.adversaries.append(Adversary(name="m"))
    with pytest.raises(ManifestError, match="same name"):
        matchings.check(twice, {"latent"})


def test_a_task_requires_the_feature():
    with pytest.raises(ManifestError, match="does not require 'matching'"):
        matchings.check_required(TaskManifest(plan=plan()))
    matchings.check_required(TaskManifest(plan=plan(), required_features=[matchings.FEATURE]))
    matchings.check_required(TaskManifest())


def test_a_device_contributes_statistics_to_secure_sums_alone():
    with pytest.raises(ManifestError, match="secure sums"):
        matchings.check_hidden(TaskManifest(plan=plan()))
    matchings.check_hidden(TaskManifest(plan=plan(), secure_sums=SecureSums()))
    matchings.check_hidden(TaskManifest())
