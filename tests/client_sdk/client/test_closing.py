import gc
from threading import Event

import pytest

from client_sdk import Constraints, DeviceState, FedClient, Outcome, Result
from client_sdk.errors import StoreClosedError, StoreError
from tests.client_sdk.client.test_forks import BLOCKING


@pytest.mark.parametrize("call", BLOCKING)
def test_a_closed_client_says_so(synced, call):
    synced.close()
    if call in ("stop", "background.status"):  # which may be called whenever
        BLOCKING[call](synced)
        return
    for _ in range(2):
        with pytest.raises(StoreClosedError, match=r"the client of .*state is closed: open another"):
            BLOCKING[call](synced)
    synced.close()


def test_a_subscription_can_be_ended_after_the_end(client):
    unsubscribe = client.events.subscribe(print)
    client.close()
    unsubscribe()


def collected(act):
    act()
    gc.collect()


def drop(folder):
    FedClient.open(folder, "localhost:1", "films").record("film-1")


def drop_unused(folder):
    FedClient.open(folder, "localhost:1", "films")


def drop_with_background_work(folder):
    client = FedClient.open(folder, "localhost:1", "films")
    client.background.start(Constraints(charging=True), device_state=DeviceState)
    client.background.stop()


@pytest.mark.parametrize("act", [drop, drop_unused, drop_with_background_work])
def test_a_client_that_is_dropped_frees_its_folder_and_is_told_of(tmp_path, act):
    with pytest.warns(ResourceWarning, match=r"the client of .*state was not closed"):
        collected(lambda: act(tmp_path / "state"))
    with FedClient.open(tmp_path / "state", "localhost:1", "films") as client:
        assert client.status().recorded == (act is drop)


def test_a_client_that_was_closed_is_collected_in_silence(tmp_path, recwarn):
    FedClient.open(tmp_path / "state", "localhost:1", "films").close()
    gc.collect()
    assert not list(recwarn)


def test_a_closed_client_writes_nothing_more(held, remote, tmp_path):
    client, syncing, go = held
    client.close()
    before = {path: path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()}
    go.set()
    assert syncing().result is Result.INTERRUPTED
    assert remote.names()[-1] == "report_failure"  # its place is given back
    assert {path: path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()} == before
    with pytest.raises(StoreError):
        client.background.start()


def test_closing_ends_a_call_that_is_not_answered(open_client, silent, serve, in_thread):
    client = open_client(coordinator=serve(silent))
    client.record("film-1")
    syncing = in_thread(client.sync)
    assert silent.called.wait(60)
    client.close()
    assert syncing() == Outcome(Result.INTERRUPTED)
    assert silent.hung_up.wait(60)
    assert silent.left > 0  # it was no deadline that ended the call


def test_closing_keeps_a_sync_that_has_not_called_yet_from_calling(open_client, remote, in_thread, monkeypatch):
    reached, go = Event(), Event()
    client = open_client()
    begin = client._core.session

    def session():
        reached.set()
        assert go.wait(60)
        return begin()

    monkeypatch.setattr(client._core, "session", session)
    syncing = in_thread(client.sync)
    assert reached.wait(60)
    client.close()
    go.set()
    assert isinstance(syncing(), StoreError)
    assert remote.calls == []
