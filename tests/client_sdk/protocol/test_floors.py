"""The floors that an app states for secure sums."""

import pytest

from client_sdk.errors import PlainTaskError, UsageError
from client_sdk.protocol.floors import SumFloors
from client_sdk.protocol.trust import Trust
from fedau2.wire.secure import policy
from tests.client_sdk.protocol.test_trust import PUBLIC
from tests.client_sdk.secure import Signing, noisy, secure

UNMASKER = Signing()


@pytest.mark.parametrize(
    ("floors", "fits"),
    [
        (True, True),
        (SumFloors(), True),
        (SumFloors(minimum=65), False),
        (SumFloors(noise_multiplier=1.0), True),
        (SumFloors(noise_multiplier=1.5), False),
        (SumFloors(participations=4), True),
        (SumFloors(participations=3), False),
    ],
)
def test_an_app_states_floors_for_sums(bundle, floors, fits):
    strict, task = Trust([PUBLIC], [UNMASKER.identity], floors), noisy(bundle, UNMASKER).manifest
    policy.check(task)
    if fits:
        strict.expect_secure(task)
    else:
        with pytest.raises(PlainTaskError, match="the app requires"):
            strict.expect_secure(task)
    with pytest.raises(PlainTaskError):
        strict.expect_secure(bundle.manifest)


def test_a_policy_without_a_cap_is_above_every_cap(bundle):
    task = secure(bundle, UNMASKER).manifest
    Trust([PUBLIC], [UNMASKER.identity], SumFloors()).expect_secure(task)
    with pytest.raises(PlainTaskError, match="any number of contributions"):
        Trust([PUBLIC], [UNMASKER.identity], SumFloors(participations=2**31)).expect_secure(task)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"minimum": value} for value in (63, "x", True)),
        {"noise_multiplier": -1},
        *({name: value} for name in ("participations", "row_threshold") for value in (-1, 1.5, None, True)),
    ],
)
def test_floors_that_mean_nothing_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        SumFloors(**wrong)


@pytest.mark.parametrize("threshold", [0, 1, 9, 10])
def test_thin_rows_stay_closed_or_sums_have_noise_unless_the_app_says_otherwise(bundle, threshold):
    def refused(floors, task):
        try:
            Trust([PUBLIC], [UNMASKER.identity], floors).expect_secure(task.manifest)
        except PlainTaskError as error:
            assert "the app requires noise" in str(error)  # noqa: PT017 - the other outcome is as good
            return True
        return False

    exact = secure(bundle, UNMASKER, row_threshold=threshold)
    for floors in (True, SumFloors()):
        assert refused(floors, exact) is (threshold < 10)
        assert not refused(floors, noisy(bundle, UNMASKER))
    assert refused(SumFloors(row_threshold=2), exact) is (threshold < 2)
    for floors in (False, SumFloors(row_threshold=0), SumFloors(row_threshold=1)):
        assert not refused(floors, exact)
