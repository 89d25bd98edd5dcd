import numpy as np
import pytest

from client_sdk import Limits
from client_sdk.errors import UsageError


@pytest.mark.parametrize("memory", [1, np.int64(2**40), np.uint8(1)])
@pytest.mark.parametrize("seconds", [1, 0.5, np.float32(2), np.int16(3)])
def test_numbers_of_python_and_numpy_are_limits(memory, seconds):
    limits = Limits(memory=memory, seconds=seconds)
    assert (limits.memory, limits.seconds) == (memory, seconds)


@pytest.mark.parametrize(
    "limits",
    [
        *({"memory": value} for value in (0, -1, 1.0, True, "1", None, np.bool_(True), np.float64(1))),
        *({"seconds": value} for value in (0, -1, float("inf"), float("nan"), True, "1", None, np.bool_(True))),
    ],
)
def test_what_is_no_limit_is_told(limits):
    (name,) = limits
    with pytest.raises(UsageError, match=f"{name} must be"):
        Limits(**limits)
