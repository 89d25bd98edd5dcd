import pytest

from tests.client_sdk.scheduling.background.virtual import VirtualClock


@pytest.fixture
def clock(client):
    """Sets a client's clock, which stands still after so many waits."""

    def make(turns):
        clock = VirtualClock(turns)
        client.background._clock, client._core.syncs._clock = clock, clock.time
        return clock

    return make
