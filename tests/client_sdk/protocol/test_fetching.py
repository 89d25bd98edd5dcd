"""Fetching: goes on where it broke off, within the lease, and never takes more bytes than a task can need."""

import copy
from dataclasses import replace

import pytest

from client_sdk import retry
from client_sdk.errors import (
    DamagedTaskError,
    ForbiddenGraphError,
    ResourceLimitError,
    TransportError,
    UnsupportedTaskError,
)
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol import fetching
from client_sdk.protocol.drivers import drive
from client_sdk.protocol.lease import PATIENCE
from client_sdk.protocol.session import session
from client_sdk.protocol.wishes import Fetch, Outcome, Result, TooSlow, Train, Upload
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.v1 import device_pb2
from fedau2.v1.device_pb2 import FailureReason, FetchResourceResponse
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs, sizes
from fedau2.wire.errors import BlobError
from tests.client_sdk.sessions import begin, end, is_failure, record, until

TOO_SLOW = "FAILURE_REASON_TOO_SLOW"


@pytest.fixture
def cut(remote, monkeypatch):
    """Ends each fetch from a scripted coordinator after so many bytes; returns the bytes of each fetch."""

    def every(most, piece=100):
        sent = []

        def fetch(request):
            data, size = remote.bundle.blobs[request.sha256][request.offset :], 0
            sent.append(0)
            for start in range(0, len(data), piece):
                chunk = data[start : start + piece]
                if size + len(chunk) > most:
                    raise TransportError("cut off")
                size += len(chunk)
                sent[-1] += len(chunk)
                yield FetchResourceResponse(data=chunk)

        monkeypatch.setattr(remote, "fetch_resource", fetch)
        return sent

    return every


def test_a_session_goes_on_where_each_fetch_broke_off(busy, remote, bundle, cut):
    sent = cut(500)
    assert drive(begin(busy), remote).result is Result.UPLOADED
    assert sum(sent) == sum(map(len, bundle.blobs.values()))  # no byte twice
    assert len(sent) > len(bundle.blobs)


def test_another_process_goes_on_where_the_last_fetch_broke_off(tmp_path, remote, bundle, monkeypatch):
    sent, whole = [], sum(map(len, bundle.blobs.values()))

    def fetch(request):  # one piece for each process
        data = bundle.blobs[request.sha256][request.offset : request.offset + 1000]
        if sum(sent[-1]) > 0:
            raise TransportError("cut off")
        sent[-1].append(len(data))
        yield FetchResourceResponse(data=data)
        if request.offset + len(data) < len(bundle.blobs[request.sha256]):
            raise TransportError("cut off")

    monkeypatch.setattr(remote, "fetch_resource", fetch)
    outcome = None
    while outcome is None:
        sent.append([])
        assert len(sent) < whole
        store = SqliteStore(tmp_path / "state")
        if len(sent) == 1:
            record(store)
        try:
            outcome = drive(begin(store), remote)
        except TransportError:
            assert remote.names()[-1] == "report_failure"  # others may have the place
        store.close()
    assert outcome.result is Result.UPLOADED
    assert sum(map(sum, sent)) == whole


def test_a_part_that_is_wrong_is_thrown_away_once(busy, remote, bundle):
    busy.download(bundle.address).add(b"wrong bytes")
    assert drive(begin(busy), remote).result is Result.UPLOADED
    offsets = [call.offset for name, call in remote.calls if name == "fetch" and call.sha256 == bundle.address.sha256]
    assert offsets == [11, 0]


def test_a_coordinator_that_sends_wrong_bytes_is_left(busy, remote, bundle):
    busy.download(bundle.address).add(b"wrong bytes")
    remote.bundle = replace(bundle, blobs=dict.fromkeys(bundle.blobs, bytes(bundle.address.size)))
    with pytest.raises(DamagedTaskError):
        drive(begin(busy), remote)
    assert remote.names() == ["check_in", "fetch", "fetch", "report_failure"]


def test_a_piece_without_bytes_ends_a_stream(busy, remote, monkeypatch):
    monkeypatch.setattr(remote, "fetch_resource", lambda request: (FetchResourceResponse() for _ in range(9)))
    with pytest.raises(DamagedTaskError, match="a piece of a blob has no bytes"):
        drive(begin(busy), remote)


def test_wrong_bytes_and_cuts_in_turn_do_not_go_on_for_ever(busy, bundle):
    running = begin(busy)
    wish, _ = until(Fetch, running, bundle)
    for _ in range(2):
        wish.into.add(b"x")
        wish = running.throw(TransportError("cut off"))
        assert wish.into.size == 1
        wish.into.add(b"x" * (wish.resource.size - 1))
        with pytest.raises(BlobError) as wrong:
            wish.into.finish()
        wish = running.throw(wrong.value)
    assert is_failure(wish)
    with pytest.raises(DamagedTaskError):
        running.send(device_pb2.ReportFailureResponse())


def test_models_that_are_never_whole_do_not_fill_the_disk(busy, bundle):
    for number in range(5):
        items = "\n".join(f"film-{number}-{row}" for row in range(12)).encode()
        task = copy.deepcopy(bundle.manifest)
        task.catalogue.CopyFrom(blobs.resource(items))
        data = task.SerializeToString(deterministic=True)
        other = replace(bundle, manifest=task, blobs=bundle.blobs | {blobs.sha256(b): b for b in (items, data)})
        until(lambda wish: isinstance(wish, Fetch) and wish.resource == bundle.checkpoint, begin(busy), other)
    assert len(list((busy.folder / "blobs").iterdir())) <= len(bundle.blobs)


@pytest.mark.parametrize("size", [sizes.MANIFEST + 1, 2**40])
def test_a_manifest_that_is_too_long_is_refused_before_a_byte_comes(busy, remote, bundle, size):
    remote.assignment.manifest.size = size
    with pytest.raises(UnsupportedTaskError, match=f"the manifest has {size} bytes"):
        drive(begin(busy), remote)
    assert remote.names() == ["check_in", "report_failure"]


@pytest.mark.parametrize("size", [2**20, 2**40])
def test_a_checkpoint_beyond_its_tensors_is_refused_before_a_byte_comes(busy, remote, bundle, size):
    remote.assignment.checkpoint.size = size
    with pytest.raises(UnsupportedTaskError, match=f"the checkpoint has {size} bytes"):
        drive(begin(busy), remote)
    assert remote.names() == ["check_in", "fetch", "report_failure"]


@pytest.mark.parametrize(("name", "error"), [("catalogue", UnsupportedTaskError), ("graph", ForbiddenGraphError)])
def test_a_part_beyond_what_is_needed_is_refused_before_a_byte_comes(busy, remote, bundle, name, error):
    task = TaskManifest.FromString(bundle.manifest.SerializeToString())
    (task.catalogue if name == "catalogue" else task.graphs[0].resource).size = 2**40
    remote.bundle = replace(bundle, manifest=task).with_manifest()
    remote.assignment = remote.bundle.assignment()
    with pytest.raises(error, match=str(2**40)):
        drive(begin(busy), remote)
    assert remote.names() == ["check_in", "fetch", "report_failure"]


def test_a_model_that_is_too_large_for_a_device_is_refused(busy, remote, monkeypatch):
    monkeypatch.setattr(fetching, "MOST", 100)
    with pytest.raises(ResourceLimitError, match="more than 100 bytes"):
        drive(begin(busy), remote)
    assert remote.names() == ["check_in", "fetch", "report_failure"]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def leased(store, clock, wanted=lambda model: False):
    return session(store, TorchEngine(), "films", "1", wanted=wanted, clock=clock)


def test_transfers_may_take_what_is_left_of_the_lease(busy, bundle):
    clock = Clock()
    running = leased(busy, clock)
    wish, _ = until(Fetch, running, bundle)
    assert wish.within == 600
    clock.now = 100
    upload, _ = until(Upload, prepended(running, wish), bundle)
    assert upload.within == 500


def prepended(running, wish):
    """A session that has come to a wish already."""
    while True:
        try:
            wish = running.send((yield wish))
        except StopIteration as stop:
            return stop.value


@pytest.mark.parametrize("kind", [Fetch, Train, Upload])
def test_a_place_whose_lease_is_over_is_given_back(busy, bundle, window, kind):
    clock = Clock()
    running = leased(busy, clock)
    wish, _ = until(lambda wish: isinstance(wish, before(kind)), running, bundle)
    clock.now = 600
    while not is_failure(wish):
        assert not isinstance(wish, kind) or kind is Fetch
        wish = running.send(bundle.blobs[wish.resource.sha256] if isinstance(wish, Fetch) else wish.training.step())
    assert wish.request.reason == FailureReason.FAILURE_REASON_TOO_SLOW
    outcome = end(running.send, device_pb2.ReportFailureResponse(next_check_in=window))
    assert outcome == Outcome(Result.INTERRUPTED, retry.window(window), TOO_SLOW)
    assert (busy.staged(), busy.private("task")) == (None, None)


def before(kind):
    return {Fetch: Fetch, Train: Fetch, Upload: Train}[kind]


@pytest.mark.parametrize("wanted", [True, False])
def test_a_download_that_would_outlast_the_lease_gives_the_place_back_and_goes_on(busy, bundle, window, wanted):
    clock = Clock()
    running = leased(busy, clock, lambda model: wanted)
    wish, _ = until(lambda wish: isinstance(wish, Fetch) and wish.resource == bundle.checkpoint, running, bundle)
    data = bundle.blobs[bundle.checkpoint.sha256]
    clock.now = PATIENCE
    with pytest.raises(TooSlow) as slow:
        wish.into.add(data[:9])
    wish = running.throw(slow.value)
    assert wish.request.reason == FailureReason.FAILURE_REASON_TOO_SLOW
    answer = device_pb2.ReportFailureResponse(next_check_in=window)
    if not wanted:
        assert end(running.send, answer) == Outcome(Result.INTERRUPTED, retry.window(window), TOO_SLOW)
        assert busy.download(bundle.checkpoint).size == 9
        return
    wish = running.send(answer)
    assert (wish.resource, wish.into.size) == (bundle.checkpoint, 9)  # what had come is not fetched again
    clock.now = 10000
    wish.into.add(data[9:])
    outcome = end(running.send, wish.into.finish())
    assert outcome == Outcome(Result.INTERRUPTED, retry.window(window), TOO_SLOW, refreshed=True)
    assert busy.model().checkpoint == bundle.checkpoint
