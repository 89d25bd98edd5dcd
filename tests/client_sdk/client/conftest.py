from threading import Event, Thread

import pytest

from client_sdk import FedClient, Result
from client_sdk.errors import FedError
from client_sdk.kernel.torch_engine import TorchEngine


@pytest.fixture
def open_client(tmp_path, address):
    """Opens clients of the scripted coordinator and closes them at the end."""
    opened = []

    def make(folder="state", coordinator=address, **options):
        opened.append(FedClient.open(tmp_path / folder, coordinator, "films", **options))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def client(open_client):
    return open_client()


@pytest.fixture
def synced(client):
    """A client that has trained one round."""
    client.record("film-1")
    client.record("film-4")
    assert client.sync().result == Result.UPLOADED
    return client


@pytest.fixture
def in_thread():
    """Starts a function in a thread; returns a function that waits for what it returned or raised."""

    def start(act):
        ended = []

        def run():
            try:
                ended.append(act())
            except FedError as error:
                ended.append(error)

        thread = Thread(target=run)
        thread.start()

        def wait():
            thread.join()
            return ended[0]

        return wait

    return start


@pytest.fixture
def held(open_client, in_thread):
    """A client in a sync that waits before its training, a function that waits for the sync, and what lets it go on."""
    reached, go = Event(), Event()

    class Held(TorchEngine):
        def begin(self, job):
            reached.set()
            assert go.wait(60)
            return super().begin(job)

    client = open_client(engine=Held())
    client.record("film-1")
    syncing = in_thread(client.sync)
    assert reached.wait(60)
    return client, syncing, go
