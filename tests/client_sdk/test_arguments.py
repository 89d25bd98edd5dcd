from datetime import timedelta
from math import inf, nan

import pytest

from client_sdk import arguments
from client_sdk.errors import UsageError


@pytest.mark.parametrize("value", [0, 60, timedelta(0), timedelta(seconds=-1)])
def test_a_duration_is_a_timedelta_above_0_or_endless(value):
    with pytest.raises(UsageError, match="round_budget must be a timedelta above 0"):
        arguments.duration("round_budget", value)
    assert arguments.duration("round_budget", None) == inf
    assert arguments.duration("round_budget", timedelta(days=9)) == 9 * 86400


@pytest.mark.parametrize("value", [0, -1.5, inf, nan, True, "60", timedelta(seconds=60)])
def test_a_timeout_is_a_finite_number_above_0(value):
    with pytest.raises(UsageError, match="timeout must be a number of seconds above 0"):
        arguments.seconds("timeout", value)
    assert arguments.seconds("timeout", 60) == 60.0
