import pytest

from client_sdk import FedClient
from tests.client_sdk.background.virtual import VirtualClock


@pytest.fixture
def client(tmp_path, address):
    with FedClient.open(tmp_path / "state", address, "films") as opened:
        opened.record("film-1")
        yield opened


@pytest.fixture
def told(client):
    events = []
    client.events.subscribe(events.append)
    return events


@pytest.fixture
def clock(client):
    """Sets a client's clock, which stands still after so many waits."""

    def make(turns):
        clock = VirtualClock(turns)
        client.background._clock, client._syncs._clock = clock, clock.time
        return clock

    return make
