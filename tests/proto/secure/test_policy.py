"""What a manifest may say about secure sums, and who refuses what."""

import math

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from client_sdk.errors import UnsupportedTaskError
from client_sdk.protocol import manifests
from fedau2.v1.secure_pb2 import Grid
from fedau2.v1.task_pb2 import ClosingRule
from fedau2.wire import manifest
from fedau2.wire.errors import ManifestError
from fedau2.wire.secure import policy as policies
from tests import secure_tasks as make


@pytest.mark.parametrize("policy", [make.policy(), make.noisy(), make.policy(unmaskers=[b"u" * 32])])
def test_a_good_policy_is_accepted_and_read_back(policy):
    task = make.task(policy)
    assert manifest.parse(task.SerializeToString()) == task


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"version": 2}, "version 2"),
        ({"version": 0}, "version 0"),
        ({"modulus_bits": 23}, "modulus_bits"),
        ({"modulus_bits": 64}, "modulus_bits"),
        ({"value_bits": 8}, "value_bits"),
        ({"value_bits": 13}, "value_bits"),
        ({"minimum": 63}, "minimum must be at least 64"),
        ({"minimum": 257}, "room for 256"),
        ({"modulus_bits": 20, "value_bits": 14}, "room for 16"),
        ({"modulus_bits": 20, "value_bits": 16, "minimum": 64}, "room for 4"),
        ({"noise_multiplier": -1.0}, "noise_multiplier"),
        ({"noise_multiplier": math.nan}, "noise_multiplier"),
        ({"noise_multiplier": math.inf}, "noise_multiplier"),
        ({"noise_multiplier": 1.0}, "noise_share"),
        ({"unmaskers": [b"short"]}, "32 bytes"),
        ({"unmaskers": [b"u" * 32] * 2}, "at most 1"),
        ({"unmaskers": [b"u" * 32, b"v" * 32]}, "each open a set of the same round"),
        ({"exponent": 65}, "exponent"),
        ({"exponent": -65}, "exponent"),
        ({"clip": 0}, "clip"),
        ({"clip": 2**14}, "dense: clip"),
    ],
)
def test_a_bad_policy_is_refused(changes, text):
    with pytest.raises(ManifestError, match=text):
        manifest.check(make.task(make.policy(**changes)))


def test_each_tensor_has_one_grid():
    grids = list(make.policy().grids)
    for wrong, text in [
        (grids[1:], "dense"),
        ([*grids, Grid(tensor="strange", clip=1)], "strange"),
        (grids[::-1], "sorted"),
        ([grids[0], *grids], "two"),
    ]:
        with pytest.raises(ManifestError, match=text):
            manifest.check(make.task(make.policy(grids=wrong)))


def test_noise_needs_shares_of_one_and_a_bound_on_contributions():
    for spoil, text in [
        (lambda policy: setattr(policy.grids[0], "noise_share", 0.9), "add up to"),
        (lambda policy: setattr(policy.grids[0], "noise_share", math.nan), "noise_share"),
        (lambda policy: setattr(policy, "max_participations", 0), "max_participations"),
        (lambda policy: setattr(policy, "noise_multiplier", 0.0), "without noise"),
        (lambda policy: setattr(policy, "row_threshold", 2), "row_threshold is 2"),
        (lambda policy: setattr(policy, "noise_multiplier", 30.0), "room for 10 deviations of 209,715"),
        (lambda policy: setattr(policy, "noise_multiplier", 1e-4), "below one step"),
    ]:
        policy = make.noisy()
        spoil(policy)
        with pytest.raises(ManifestError, match=text):
            manifest.check(make.task(policy))


def test_feature_and_policy_come_together():
    without_feature, without_policy = make.task(), make.task()
    del without_feature.required_features[:]
    without_policy.ClearField("secure_sums")
    for task in (without_feature, without_policy):
        with pytest.raises(ManifestError, match="secure-sums"):
            manifest.check(task)


def test_the_server_cannot_clip_what_it_never_sees():
    task = make.task()
    task.plan.server.clip_norm = 1
    with pytest.raises(ManifestError, match="clip_norm"):
        manifest.check(task)


def test_a_device_refuses_a_task_whose_feature_is_hidden_from_it():
    task = make.task()
    assert manifests.parse(task.SerializeToString()) == task
    del task.required_features[:]  # a coordinator that hides the feature
    with pytest.raises(UnsupportedTaskError, match="secure-sums"):
        manifests.parse(task.SerializeToString())


@given(st.sampled_from(policies.MODULUS_BITS), st.sampled_from(policies.VALUE_BITS))
def test_honest_sums_of_the_largest_cohort_use_a_quarter_of_the_range(modulus_bits, value_bits):
    most = policies.largest_cohort(modulus_bits, value_bits)
    largest = policies.largest_value(make.policy(modulus_bits, value_bits))
    assert most * largest < 2 ** (modulus_bits - 3)
    if most:
        assert modulus_bits >= value_bits + math.ceil(math.log2(most)) + policies.SLACK
    assert modulus_bits < value_bits + math.ceil(math.log2(most + 1)) + policies.SLACK


@given(st.sampled_from(policies.MODULUS_BITS), st.sampled_from(policies.VALUE_BITS))
def test_noise_fits_beside_honest_sums(modulus_bits, value_bits):
    policy = make.policy(modulus_bits, value_bits)
    honest = policies.largest_cohort(modulus_bits, value_bits) * policies.largest_value(policy)
    assert honest + policies.NOISE_ROOM * policies.largest_deviation(modulus_bits) < 2 ** (modulus_bits - 1)


def test_every_row_may_be_opened_with_noise():
    for threshold in (0, 1):
        policy = make.noisy()
        policy.row_threshold = threshold
        manifest.check(make.task(policy))


def rule(minimum, maximum):
    return ClosingRule(minimum=minimum, goal=minimum, maximum=maximum, deadline=Duration(seconds=1))


def test_a_closing_rule_fits_the_modulus_and_the_minimum():
    policies.check_closing(make.policy(), rule(64, 256))
    with pytest.raises(ManifestError, match="room for 256"):
        policies.check_closing(make.policy(), rule(64, 257))
    with pytest.raises(ManifestError, match="fewer than 64"):
        policies.check_closing(make.policy(), rule(63, 256))
