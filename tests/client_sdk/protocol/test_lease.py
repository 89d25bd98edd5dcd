from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_sdk.protocol.lease import PATIENCE, Lease, NoLease
from client_sdk.protocol.wishes import TooSlow
from fedau2.wire import blobs


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_what_is_left_of_a_lease_ends():
    clock = Clock()
    lease = Lease(10.0, clock)
    clock.now = 9.5
    assert lease.left() == 0.5
    for now in (10.0, 11.0):
        clock.now = now
        with pytest.raises(TooSlow):
            lease.left()


@pytest.mark.parametrize("seconds", [0.0, -1.0, -(2.0**63)])
def test_a_lease_that_is_over_is_over(seconds):
    with pytest.raises(TooSlow):
        Lease(seconds, Clock()).left()


@given(st.integers(1, 50), st.floats(0.1, 100), st.integers(0, 49), st.floats(50, 1e4))
def test_a_download_ends_early_only_if_its_speed_is_too_low_for_the_lease(pieces, seconds, before, length):
    """Each piece takes as long, so that the end of the download is known."""
    before, data = min(before, pieces - 1), bytes(pieces)
    clock = Clock()
    lease = Lease(length, clock)
    download = lease.watched(blobs.Assembler(blobs.resource(data), data[:before]), pieces)
    end = seconds * (pieces - before)
    try:
        for _ in range(pieces - before):
            clock.now += seconds
            download.add(b"\0")
    except TooSlow:
        assert end > length * (1 - 1e-9)
        assert clock.now < max(PATIENCE, seconds) + 2 * seconds  # as soon as it was clear
    else:
        assert end <= length * (1 + 1e-9)
        assert download.finish() == data
    assert download.size == before + round(clock.now / seconds)  # what came is kept in any case


def test_without_a_lease_nothing_is_too_slow():
    lease, data = NoLease(), bytes(3)
    download = lease.watched(blobs.Assembler(blobs.resource(data)), 3)
    for _ in range(3):
        download.add(b"\0")
    assert download.finish() == data
    assert lease.left() == inf
