"""What a closing rule may say."""

import copy
import math

import pytest
from google.protobuf.duration_pb2 import Duration

from fedau2.v1.task_pb2 import AGGREGATION_TRIMMED_MEAN, ClosingRule
from fedau2.wire import plans
from fedau2.wire.errors import ManifestError

CLOSING = ClosingRule(
    goal=3, minimum=2, maximum=4, over_selection=0.5, deadline=Duration(seconds=9), lease=Duration(seconds=9)
)


def test_a_good_rule_is_accepted():
    plans.check_closing(CLOSING)


@pytest.mark.parametrize(
    "change",
    [
        {"goal": 1},
        {"minimum": 0},
        {"maximum": 2},
        {"maximum": 2_000_000},
        {"over_selection": -0.1},
        {"over_selection": 1e30},
        {"over_selection": math.nan},
        {"deadline": Duration()},
        {"lease": Duration(seconds=-1)},
    ],
)
def test_a_closing_rule_that_contradicts_itself_is_refused(change):
    rule = copy.deepcopy(CLOSING)
    rule.MergeFrom(ClosingRule(**change))
    for field in change:
        if isinstance(change[field], Duration):
            getattr(rule, field).CopyFrom(change[field])
        else:
            setattr(rule, field, change[field])
    with pytest.raises(ManifestError):
        plans.check_closing(rule)


def test_a_trimmed_mean_leaves_out_something_at_the_minimum():
    rule = copy.deepcopy(CLOSING)
    rule.aggregation, rule.trim = AGGREGATION_TRIMMED_MEAN, 0.1
    rule.minimum, rule.goal, rule.maximum = 9, 20, 30
    with pytest.raises(ManifestError, match=r"no value of 9 contributions.* raise the minimum to 10"):
        plans.check_closing(rule)
    rule.minimum = 10
    plans.check_closing(rule)
    rule.trim, rule.minimum = 0.49, 2
    with pytest.raises(ManifestError, match="raise the minimum to 3"):
        plans.check_closing(rule)


@pytest.mark.parametrize("percent", range(1, 50))
def test_a_trim_leaves_out_the_share_that_was_meant(percent):
    trim = ClosingRule(trim=percent / 100).trim
    for count in (1, 2, 3, 20, 99, 100, 1_000_000):
        assert plans.trimmed_values(trim, count) == min(percent * count // 100, (count - 1) // 2)
