"""Transfers of a whole client over gRPC: through a link that breaks, in a time that ends, and without a place."""

from dataclasses import replace
from datetime import timedelta
from math import inf
from threading import Event

import grpc
import pytest

from client_sdk import FedClient, NewModel, Result, retry
from client_sdk.errors import NoDataError, NoModelError, TimedOutError, TransportError, UsageError
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol import contributing
from client_sdk.protocol.wishes import Interrupted
from client_sdk.testing import LocalCoordinator
from fedau2.v1.device_pb2 import CheckInResponse, FailureReason, ModelVersion, Rejection
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs
from fedau2.wire.status import Status, StatusError
from scripts.slow_link import Link, running

LARGE = 40_000
CUT = 600_000
OVERHEAD = 40_000
"""Bytes that gRPC adds on a connection, at most."""


@pytest.fixture(scope="module")
def large(bundles):
    """A task whose blobs have many pieces."""
    return bundles([f"item-{row}" for row in range(LARGE)])


def turn_away(remote, bundle, window):
    """Makes a scripted coordinator have no place, and name its newest model."""
    model = ModelVersion(task_id="task", round=bundle.round, manifest=bundle.address, checkpoint=bundle.checkpoint)
    remote.bundle = bundle
    remote.check_in = lambda request: remote._answer(
        "check_in", request, CheckInResponse(rejection=Rejection(reason=1, retry=window, model=model))
    )


def fetched(remote):
    return [call.sha256 for name, call in remote.calls if name == "fetch"]


def sync_again_and_again(folder, address, population):
    """Syncs with a client opened anew each time, until one is not cut off: each goes on where the last one was."""
    for _ in range(20):
        with FedClient.open(folder, address, population) as client:
            try:
                return client.sync()
            except TransportError:
                continue
    raise AssertionError("twenty syncs were cut off")


def test_a_link_that_breaks_brings_no_byte_of_a_piece_twice(tmp_path, remote, large, address):
    remote.bundle, remote.assignment = large, large.assignment()
    whole = sum(map(len, large.blobs.values()))
    assert whole > 3 * CUT
    with running(Link(address, most=CUT)) as link:
        with FedClient.open(tmp_path / "state", link.address, "films") as client:
            client.record("item-1")
        assert sync_again_and_again(tmp_path / "state", link.address, "films").result is Result.UPLOADED
        # A cut loses the piece that it falls into, and what has been sent ahead of a reader that is slow.
        assert sum(link.carried) < whole + len(link.carried) * (2 * blobs.CHUNK + OVERHEAD)
        assert len(link.carried) >= whole // CUT
    assert b"".join(sorted(set(fetched(remote)))) == b"".join(sorted(large.blobs))


def test_an_upload_through_a_link_that_breaks_goes_on_and_counts_once(tmp_path, monkeypatch):
    monkeypatch.setattr(contributing, "PIECE", 2**14)
    items = [f"item-{row}" for row in range(2500)]
    cut = contributing.PIECE + 2 * OVERHEAD
    with LocalCoordinator(items=items) as server, running(Link(server.address, most_up=cut)) as link:
        with FedClient.open(tmp_path / "state", link.address, server.population) as client:
            client.record_many(items[:-1])
            with pytest.raises(TransportError):
                client.sync()
            size = len(client._store.staged().contribution)
        assert size > 2 * cut  # no connection brings the whole
        outcome = sync_again_and_again(tmp_path / "state", link.address, server.population)
        assert outcome.result is Result.UPLOADED
        server.wait_for_round(1)
        assert server.rounds_committed() == 1


def test_an_older_coordinator_is_sent_the_whole_again(open_client, servicer, remote, monkeypatch):
    def unknown(request, context):
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")

    monkeypatch.setattr(contributing, "PIECE", 64)
    monkeypatch.setattr(servicer, "UploadOffset", unknown)
    client = open_client()
    client.record("film-1")
    remote.refusals["upload"] = StatusError(Status.UNAVAILABLE, "gone")
    with pytest.raises(TransportError):
        client.sync()
    del remote.refusals["upload"]
    assert client.sync().result is Result.UPLOADED
    first, second = [call for name, call in remote.calls if name == "upload"]
    assert first == second


def test_a_device_without_a_place_recommends_from_the_newest_model(open_client, remote, bundle, window, told_by):
    turn_away(remote, bundle, window)
    client = open_client()
    client.record("film-1")
    told = told_by(client)
    with pytest.raises(NoModelError):
        client.recommend()
    outcome = client.sync()
    assert (outcome.result, outcome.refreshed, outcome.retry) == (Result.REJECTED, True, retry.window(window))
    assert {item for item, _ in map(vars_of, client.recommend(20))} == {f"film-{n}" for n in range(12)} - {"film-1"}
    assert NewModel("task", 0) in told
    assert client.status().model.round == 0
    client._store.ensure_open()
    assert not client.sync().refreshed  # it is the newest


def vars_of(recommendation):
    return recommendation.item, recommendation.score


@pytest.fixture
def told_by():
    def listen(client):
        events = []
        client.events.subscribe(events.append)
        return events

    return listen


@pytest.mark.parametrize("oldest", [timedelta(hours=3), None])
def test_a_model_is_replaced_once_it_is_old_enough(open_client, remote, bundle, window, oldest):
    client, now = open_client(max_model_age=oldest), [1e9]
    client.record("film-1")
    client._core.syncs._clock = lambda: now[0]
    turn_away(remote, bundle, window)
    assert client.sync().refreshed
    newer = bundle.with_checkpoint(5)
    turn_away(remote, newer, window)
    for hours, refreshed in ((1, False), (1.9, False), (0.1, oldest is not None), (4, False)):
        now[0] += hours * 3600
        assert client.sync().refreshed is refreshed
    turn_away(remote, newer.with_checkpoint(6), window)
    assert client.sync().refreshed is (oldest is not None)
    client.close()
    turn_away(remote, newer.with_checkpoint(7), window)
    again = open_client(max_model_age=oldest)
    again._core.syncs._clock = lambda: now[0]
    assert not again.sync().refreshed  # its age outlives the process
    now[0] -= 1e6  # and a clock that is set back does not keep it for ever
    assert again.sync().refreshed is (oldest is not None)


@pytest.mark.parametrize("lost", range(6))
def test_a_model_of_which_a_part_is_lost_is_made_whole_at_once(open_client, remote, bundle, window, lost):
    client = open_client()
    turn_away(remote, bundle, window)
    client.sync()
    files = sorted((client._store.folder / "blobs").iterdir())
    files[lost].write_bytes(b"damaged")
    remote.calls.clear()
    assert client.sync().refreshed
    assert [sha256.hex() for sha256 in fetched(remote)] == [files[lost].name]
    assert client.recommend(20)


def test_a_client_that_cannot_train_by_its_model_fetches_that_of_another_task(open_client, remote, bundle, window):
    client = open_client(max_model_age=None)
    client.record("a film of tomorrow")
    turn_away(remote, bundle, window)
    assert client.sync().refreshed
    with pytest.raises(NoDataError):
        client.sync()
    changed = TaskManifest.FromString(bundle.manifest.SerializeToString())
    changed.plan.minimum_separation += 1
    turn_away(remote, replace(bundle, manifest=changed).with_manifest(), window)
    assert client.sync().refreshed


def test_a_starter_is_replaced_by_the_first_sync(open_client, remote, bundle, window, tmp_path):
    folder = tmp_path / "starter"
    (folder / "blobs").mkdir(parents=True)
    (folder / "manifest.binpb").write_bytes(bundle.manifest.SerializeToString(deterministic=True))
    for sha256, data in bundle.blobs.items():
        (folder / "blobs" / sha256.hex()).write_bytes(data)
    client = open_client(starter=folder, max_model_age=None)
    client.record("film-1")
    newer = bundle.with_checkpoint(5)
    turn_away(remote, newer, window)
    assert client.sync().refreshed
    assert fetched(remote) == [newer.checkpoint.sha256]
    assert not client.sync().refreshed


def test_a_sync_that_is_not_answered_ends_at_its_timeout(open_client, silent, serve):
    client = open_client(coordinator=serve(silent))
    with pytest.raises(TimedOutError, match="did not end in time"):
        client.sync(timeout=0.1)
    assert isinstance(TimedOutError(), TimeoutError)
    assert silent.hung_up.wait(60)
    status = client.status()
    assert status.last_sync.result is Result.INTERRUPTED
    assert client._core.syncs.pace.failures == 1


def test_a_training_that_takes_too_long_gives_its_place_back(open_client, remote, monkeypatch):
    over = Event()
    monkeypatch.setattr("client_sdk.client.Timeout.left", lambda self: 0.0 if over.is_set() else inf)

    class Slow(TorchEngine):
        def begin(self, job):
            over.set()
            return super().begin(job)

    client = open_client(engine=Slow())
    client.record("film-1")
    with pytest.raises(TimedOutError):
        client.sync(timeout=60)
    assert remote.names()[-1] == "report_failure"
    assert remote.calls[-1][1].reason == FailureReason.FAILURE_REASON_INTERRUPTED
    over.clear()
    client._core.engine = TorchEngine()
    assert client.sync(timeout=60).result is Result.UPLOADED


def test_a_sync_that_waits_for_another_ends_at_its_timeout(held):
    client, syncing, go = held
    with pytest.raises(TimedOutError, match="another sync was under way"):
        client.sync(timeout=0.05)
    go.set()
    assert syncing().result is Result.UPLOADED


@pytest.mark.parametrize("timeout", [0, -1, inf, "60", timedelta(seconds=60)])
def test_a_timeout_that_cannot_be_meant_is_told(client, remote, timeout):
    with pytest.raises(UsageError, match="timeout"):
        client.sync(timeout=timeout)
    assert remote.calls == []


@pytest.mark.parametrize("age", [0, 86400, timedelta(0)])
def test_an_age_that_cannot_be_meant_is_told(open_client, age):
    with pytest.raises(UsageError, match="max_model_age"):
        open_client(max_model_age=age)


def test_a_checkpoint_of_which_a_sync_brought_a_part_arrives_after_its_round(tmp_path):
    items = [f"item-{row}" for row in range(2500)]
    with (
        LocalCoordinator(items=items) as server,
        FedClient.open(tmp_path / "fast", server.address, server.population) as fast,
        FedClient.open(tmp_path / "slow", server.address, server.population) as slow,
    ):

        def check():
            if any(part.stat().st_size for part in (tmp_path / "slow/blobs").glob("*.part")):
                raise Interrupted
            return inf

        whole, slow._core.check = slow._core.check, check
        while (started := slow._store.started()) is None:
            assert slow.sync().result is Result.INTERRUPTED
        fast.record(items[0])
        server.train(fast)
        slow._core.check = whole
        assert slow.sync().refreshed
        assert slow.status().model.round == started.round == server.rounds_committed() - 1
