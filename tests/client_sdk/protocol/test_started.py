"""A version whose download has begun is finished before a newer one is begun, where the device wants a model."""

import pytest

from client_sdk.errors import TransportError, UntrustedTaskError
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.drivers import drive
from client_sdk.protocol.session import session
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.wishes import Result
from fedau2.v1.device_pb2 import CheckInResponse, FetchResourceResponse, ModelVersion, Rejection
from fedau2.wire.status import Status, StatusError

SYNCS = 6
PIECES = 4
"""Syncs that bring one checkpoint."""
WHOLE = 10**9
"""Bytes that no checkpoint has."""


class Coordinator:
    """Commits a round with each check-in, serves some checkpoints, and loses the link after a piece of one."""

    def __init__(self, remote, bundle, keeps, places, task_id="task"):
        self.remote, self.keeps, self.places, self.task_id = remote, keeps, places, task_id
        self.versions = [bundle]
        remote.check_in, remote.fetch_resource = self.check_in, self.fetch

    def check_in(self, request):
        newest = self.versions[-1].with_checkpoint(len(self.versions))
        self.versions.append(newest)
        self.left = -(-newest.checkpoint.size // PIECES)
        if self.places:
            return CheckInResponse(assignment=newest.assignment(newest.round, task_id=self.task_id))
        return turned_away(newest, self.task_id)

    def fetch(self, request):
        checkpoints = [version.checkpoint.sha256 for version in self.versions]
        if request.sha256 in checkpoints[: -self.keeps]:
            raise StatusError(Status.NOT_FOUND, "no such blob is served any more")
        self.remote.bundle = self.versions[-1]
        data = b"".join(self.remote.fetch(request))
        piece = data[: self.left] if request.sha256 in checkpoints else data
        self.left -= len(piece) if request.sha256 in checkpoints else 0
        if piece:
            yield FetchResourceResponse(data=piece)
        if piece != data:
            raise TransportError("the link broke")


def turned_away(bundle, task_id="task"):
    model = ModelVersion(task_id=task_id, round=bundle.round, manifest=bundle.address, checkpoint=bundle.checkpoint)
    return CheckInResponse(rejection=Rejection(reason=1, model=model))


def sync(store, remote, wanted=None, trust=None):
    """Syncs as a device does that wants a model until it has one; returns the result, None if the link broke."""
    running = session(
        store,
        TorchEngine(),
        "films",
        "1",
        trust=trust or Trust(),
        wanted=wanted or (lambda model: store.model() is None),
    )
    try:
        return drive(running, remote)
    except TransportError:
        return None


def files_of(store):
    return list((store.folder / "blobs").iterdir())


@pytest.mark.parametrize("places", [False, True])
@pytest.mark.parametrize("keeps", [PIECES, PIECES + 1])
def test_a_model_arrives_although_each_sync_brings_a_part_and_a_round_ends(busy, remote, bundle, keeps, places):
    Coordinator(remote, bundle, keeps, places)
    most = len(bundle.blobs) + 3  # the parts of two checkpoints, and the note
    syncs = 0
    while busy.model() is None:
        sync(busy, remote)
        syncs += 1
        assert len(files_of(busy)) <= most
    assert syncs == PIECES
    assert busy.model().round == 1  # the first that the device was told of
    assert busy.started() is None or places  # with a place, the newest checkpoint was begun too


@pytest.mark.parametrize("places", [False, True])
def test_what_the_coordinator_no_longer_serves_gives_way_to_the_newest(busy, remote, bundle, places):
    coordinator = Coordinator(remote, bundle, 1, places)
    for _ in range(SYNCS):
        sync(busy, remote)
        assert busy.model() is None
        assert busy.started().checkpoint == coordinator.versions[-1].checkpoint
        assert len(files_of(busy)) <= len(bundle.blobs) + 1
    remote.check_in = lambda request: turned_away(coordinator.versions[-1])
    coordinator.left = WHOLE
    assert sync(busy, remote).refreshed
    assert busy.model().checkpoint == coordinator.versions[-1].checkpoint


def test_a_device_with_a_model_that_will_do_goes_straight_to_the_newest(busy, remote, bundle):
    coordinator = Coordinator(remote, bundle, SYNCS, places=True)
    assert sync(busy, remote) is None
    first = busy.started()
    remote.calls.clear()

    def whole(request):
        response = coordinator.check_in(request)
        coordinator.left = WHOLE
        return response

    remote.check_in = whole
    assert sync(busy, remote, wanted=lambda model: False).result is Result.UPLOADED
    asked = [call.sha256 for name, call in remote.calls if name == "fetch"]
    assert first.checkpoint.sha256 not in asked
    assert (busy.started(), busy.model().round) == (None, 2)
    assert not list((busy.folder / "blobs").glob("*.part"))


@pytest.mark.parametrize("why", ["another task", "not trusted"])
def test_a_started_version_of_no_use_is_abandoned(busy, remote, bundle, monkeypatch, why):
    coordinator = Coordinator(remote, bundle, SYNCS, places=False)
    assert sync(busy, remote) is None
    first = busy.started()
    if why == "another task":
        coordinator.task_id = "other"
        sync(busy, remote)
    else:
        checks = iter([UntrustedTaskError("not signed"), None, None, None])

        def check(self, manifest):
            if error := next(checks):
                raise error

        monkeypatch.setattr(Trust, "check", check)
        sync(busy, remote)
    assert busy.started().checkpoint == coordinator.versions[-1].checkpoint != first.checkpoint
