"""How a device is enrolled at a check-in: once, where a task needs it, and again at half of a certificate's life."""

import asyncio
from contextlib import closing

import pytest

from client_sdk.errors import RefusedError, TransportError, UnknownWishError
from client_sdk.protocol.drivers import drive, drive_async
from client_sdk.protocol.membership import Membership
from client_sdk.protocol.wishes import Call, Enrol, Result
from client_sdk.store.sqlite_store import SqliteStore
from client_sdk.transport.inprocess import InProcessTransport
from fedau2.v1.device_pb2 import (
    REJECTION_REASON_ENROLMENT_NEEDED,
    CheckInRequest,
    CheckInResponse,
    ModelVersion,
    Rejection,
)
from fedau2.wire.status import Status
from tests.client_sdk.secure import DAY, NOW, TASK, Signing, begin, secure
from tests.client_sdk.sessions import end

UNMASKER, OTHER = Signing(), Signing()


@pytest.fixture
def clock(monkeypatch):
    now = [float(NOW)]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


@pytest.fixture
def choosy(remote, bundle, window, clock):
    """A coordinator that turns devices away which are not enrolled."""
    task = secure(bundle, UNMASKER)
    remote.bundle, place = task, UNMASKER.assignment(task)
    model = ModelVersion(task_id=TASK, manifest=task.address, checkpoint=task.checkpoint)

    def check_in(request):
        rejection = Rejection(reason=REJECTION_REASON_ENROLMENT_NEEDED, retry=window, model=model)
        response = CheckInResponse(assignment=place) if request.enrolled else CheckInResponse(rejection=rejection)
        return remote._answer("check_in", CheckInRequest.FromString(request.SerializeToString()), response)

    remote.check_in = check_in
    return remote


def check_ins(remote):
    return [request.enrolled for name, request in remote.calls if name == "check_in"]


def certify(store):
    return lambda seconds: (UNMASKER.certify(store), None)[1]


def test_a_device_that_can_enrols_once_and_gets_its_place_in_the_same_sync(busy, choosy):
    outcome = drive(begin(busy, UNMASKER, enrols=True), choosy, enrol=certify(busy))
    assert outcome.result is Result.UPLOADED
    assert check_ins(choosy) == [False, True]


def test_so_does_one_on_asyncio(busy, choosy):
    transport = InProcessTransport(None)
    for name in ("call", "send"):
        method = getattr(choosy, name)

        async def answered(*arguments, method=method):
            return method(*arguments)

        setattr(transport, name, answered)

    async def receive(*arguments):
        for response in choosy.receive(*arguments):
            yield response

    transport.receive = receive
    running = begin(busy, UNMASKER, enrols=True)
    outcome = asyncio.run(drive_async(running, transport, enrol=certify(busy)))
    assert outcome.result is Result.UPLOADED
    assert check_ins(choosy) == [False, True]


def test_one_that_cannot_is_told_the_reason(busy, choosy):
    outcome = drive(begin(busy, UNMASKER), choosy, enrol=certify(busy))
    assert (outcome.result, outcome.reason) == (Result.REJECTED, "REJECTION_REASON_ENROLMENT_NEEDED")
    assert check_ins(choosy) == [False]


def test_it_enrols_no_second_time_where_the_coordinator_is_never_content(busy, choosy):
    rejection = CheckInResponse(rejection=Rejection(reason=REJECTION_REASON_ENROLMENT_NEEDED))
    running = begin(busy, UNMASKER, enrols=True)
    wishes = [next(running), running.send(rejection), running.send(None)]
    assert [type(wish) for wish in wishes] == [Call, Enrol, Call]
    assert end(running.send, rejection).reason == "REJECTION_REASON_ENROLMENT_NEEDED"


@pytest.mark.parametrize(
    "error", [TransportError("away"), RefusedError("no", Status.FAILED_PRECONDITION, None), UnknownWishError("what?")]
)
def test_a_failure_to_enrol_ends_the_sync_with_its_error_and_the_rejections_window(busy, choosy, error):
    def fails(seconds):
        raise error

    with pytest.raises(type(error)) as raised:
        drive(begin(busy, UNMASKER, enrols=True), choosy, enrol=fails)
    assert raised.value.retry.earliest.total_seconds() == 5
    assert check_ins(choosy) == [False]
    assert busy.staged() is None


def test_a_driver_that_does_not_know_the_wish_says_so(busy, choosy):
    with pytest.raises(UnknownWishError, match="Enrol"):
        drive(begin(busy, UNMASKER, enrols=True), choosy)


@pytest.mark.parametrize("well", [True, False])
def test_certificates_are_renewed_at_half_of_their_life_and_a_failure_costs_nothing(busy, choosy, clock, well):
    UNMASKER.certify(busy)
    clock[0] += 45 * DAY
    asked = []

    def renew(seconds):
        asked.append(seconds)
        if not well:
            raise TransportError("away")
        UNMASKER.certify(busy, issued=int(clock[0]))

    assert drive(begin(busy, UNMASKER, enrols=True), choosy, enrol=renew).result is Result.UPLOADED
    assert len(asked) == 1
    assert check_ins(choosy) == [True]


def test_a_device_is_enrolled_with_a_current_certificate_of_the_unmasker_that_its_task_names(tmp_path, bundle, clock):
    with closing(SqliteStore(tmp_path / "state")) as store:

        def enrolled(*unmaskers, task=None):
            members = Membership(store.identities, frozenset(each.identity for each in unmaskers))
            return members.needed_by(task and task.manifest).enrolled()

        UNMASKER.certify(store, issued=NOW - DAY)
        assert (enrolled(), enrolled(UNMASKER), enrolled(OTHER), enrolled(UNMASKER, OTHER)) == (
            False,
            True,
            False,
            True,
        )
        for task, expected in ((bundle, True), (secure(bundle, UNMASKER), True), (secure(bundle, OTHER), False)):
            assert enrolled(UNMASKER, OTHER, task=task) is expected
        for late, valid in ((-2 * DAY, True), (88 * DAY, True), (89 * DAY, False), (91 * DAY, False)):
            clock[0] = NOW + late
            assert enrolled(UNMASKER, OTHER) is valid


def test_a_failure_of_an_unmasker_that_the_task_does_not_need_ends_no_sync(busy, choosy):
    def half(seconds):
        UNMASKER.certify(busy)
        raise TransportError("the other one is away")

    assert drive(begin(busy, OTHER, UNMASKER, enrols=True), choosy, enrol=half).result is Result.UPLOADED
    assert check_ins(choosy) == [False, True]


@pytest.mark.parametrize("well", [True, False])
def test_a_place_in_a_task_of_another_unmasker_than_before_has_the_device_enrol_with_it(busy, choosy, well):
    OTHER.certify(busy)

    def enrol(seconds):
        if not well:
            raise TransportError("away")
        UNMASKER.certify(busy)

    outcome = drive(begin(busy, OTHER, UNMASKER, enrols=True), choosy, enrol=enrol)
    assert outcome.result is (Result.UPLOADED if well else Result.REJECTED)
    assert check_ins(choosy) == [True]
