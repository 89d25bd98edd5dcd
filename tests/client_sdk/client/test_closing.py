from threading import Event

import pytest

from client_sdk import Outcome, Result
from client_sdk.errors import (
    StoreError,
)
from client_sdk.kernel.torch_engine import TorchEngine


def test_a_closed_client_says_so(client):
    client.close()
    for act in (client.recommend, client.sync, lambda: client.record("film-1")):
        with pytest.raises(StoreError, match="closed"):
            act()


def test_a_closed_client_writes_nothing_more(open_client, remote, tmp_path, in_thread):
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
