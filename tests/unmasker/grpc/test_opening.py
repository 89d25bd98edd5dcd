"""Sums over gRPC: in pieces, one at a time, refused with their statuses, and beside the work for devices."""

import threading
from contextlib import suppress

import grpc
import numpy as np
import pytest

from fedau2.v1.unmasker_pb2 import OpenSumBegin, OpenSumRequest, StatusRequest, SumMember, SumMembers
from fedau2.v1.unmasker_pb2_grpc import EnrolmentServiceStub, UnmaskServiceStub
from tests.unmasker.device import Device
from tests.unmasker.scene import Scene
from tests.unmasker.served import served
from tests.unmasker.sums import messages
from unmasker.engine import openings, summing
from unmasker.grpc import handlers

CODE = grpc.StatusCode


@pytest.fixture
def scene(unmasker):
    return Scene(unmasker)


@pytest.fixture
def stubs(unmasker):
    with (
        served(unmasker) as servers,
        grpc.insecure_channel(servers.devices) as first,
        grpc.insecure_channel(servers.coordinators) as second,
    ):
        yield EnrolmentServiceStub(first), UnmaskServiceStub(second)


def opened(stub, sent):
    """Streams a request; returns the first response and the masks."""
    first, *rest = stub.OpenSum(iter(sent), timeout=60)
    return first, [response.masks for response in rest]


def status(stub, sent):
    with pytest.raises(grpc.RpcError) as raised:
        opened(stub, sent)
    return raised.value.code()


def test_a_sum_comes_in_pieces_and_the_same_ones_again(scene, stubs, monkeypatch):
    monkeypatch.setattr(summing, "_PIECE", 8)
    _, coordinators = stubs
    request = scene.task.asked(3, scene.sent)
    first, pieces = opened(coordinators, messages(request))
    assert [len(piece) for piece in pieces[:-1]] == [24] * (len(pieces) - 1)
    assert len(pieces) > 3
    masks = b"".join(pieces)
    assert np.array_equal(scene.task.decoded(scene.sent, first.opened, masks), scene.task.expected(scene.sent))
    assert opened(coordinators, messages(request, at_once=64)) == (first, pieces)
    assert coordinators.Status(StatusRequest(), timeout=30).sums == 1


def test_who_is_refused_is_the_whole_answer(scene, stubs):
    request = scene.task.asked(3, scene.sent)
    request.members[5].canary = bytes(12)
    response, pieces = opened(stubs[1], messages(request))
    assert (list(response.refused.leases), pieces) == ([request.members[5].lease], [])


def test_no_seed_is_in_the_log_or_in_a_file_of_an_unmasker_that_serves(scene, stubs, folder, caplog):
    caplog.set_level("DEBUG")
    request = scene.task.asked(3, scene.sent)
    for change in (lambda: None, lambda: setattr(request.begin, "head", b"x")):
        change()
        call = stubs[1].OpenSum(messages(request), timeout=60)
        with suppress(grpc.RpcError):
            list(call)
    assert "DifferentSumError" in caplog.text, "the log is seen here"
    seen = caplog.text.encode() + b"".join(path.read_bytes() for path in folder.path.iterdir())
    for secret in [one.seed for one in scene.sent] + [one.sent.sealed for one in scene.sent]:
        assert secret not in seen
        assert secret.hex().encode() not in seen
        assert repr(secret).encode() not in seen


def test_refusals_have_their_statuses(scene, stubs):
    _, stub = stubs
    whole = list(messages(scene.task.asked(3, scene.sent)))
    assert status(stub, messages(scene.task.asked(4, scene.sent))) == CODE.ABORTED
    assert status(stub, messages(scene.task.asked(3, scene.sent[1:]))) == CODE.FAILED_PRECONDITION
    assert status(stub, messages(scene.task.asked(3, scene.sent, manifest=b""))) == CODE.INVALID_ARGUMENT
    opened(stub, whole)
    assert status(stub, messages(scene.task.asked(3, scene.sent[1:]))) == CODE.ALREADY_EXISTS


def test_streams_that_make_no_sense_are_the_callers_fault(scene, stubs):
    begin, *members = messages(scene.task.asked(3, scene.sent))
    odd = [
        [],
        [begin],
        members,
        [begin, begin, *members],
        [begin, *members[::-1]],
        [begin, *members, members[0]],
        [begin, *members[:-1]],
        [begin, OpenSumRequest()],
        [begin, OpenSumRequest(members=SumMembers())],
        [OpenSumRequest(begin=OpenSumBegin(task_id=b"x"))],
        [OpenSumRequest(begin=OpenSumBegin(task_id=bytes(16), members=65_537))],
        [OpenSumRequest(begin=OpenSumBegin(task_id=bytes(16), members=0))],
        [OpenSumRequest(begin=OpenSumBegin(task_id=bytes(16), round=2**63, members=1))],
    ]
    good = {"lease": b"l" * 16, "digest": b"d" * 32, "canary": b"c", "sealed": b"s"}
    for name, values in {
        "lease": [b"", b"l" * 17],
        "digest": [b"", b"d" * 31],
        "canary": [b"", b"c" * 17],
        "sealed": [b"", b"s" * 4097],
    }.items():
        for value in values:
            member = SumMember(**{**good, name: value})
            odd.append([begin, OpenSumRequest(members=SumMembers(members=[member]))])
    for sent in odd:
        assert status(stubs[1], sent) == CODE.INVALID_ARGUMENT


def test_a_caller_that_is_silent_is_ended_and_lets_others_go_on(scene, stubs, monkeypatch):
    monkeypatch.setattr(handlers, "_SILENCE", 0.2)
    going, request = threading.Event(), scene.task.asked(3, scene.sent)

    def silent():
        yield next(messages(request))
        going.wait(60)

    try:
        with pytest.raises(grpc.RpcError) as raised:
            list(stubs[1].OpenSum(silent(), timeout=60))
        assert raised.value.code() == CODE.UNAVAILABLE
        assert opened(stubs[1], messages(request))[0].opened.set
    finally:
        going.set()


def test_devices_are_enrolled_while_masks_are_added_up(scene, stubs, monkeypatch):
    devices, coordinators = stubs
    reached, go_on, real = threading.Event(), threading.Event(), summing.add_up

    def slow(*arguments):
        reached.set()
        assert go_on.wait(60)
        return real(*arguments)

    monkeypatch.setattr(summing, "add_up", slow)
    calls = [coordinators.OpenSum(messages(scene.task.asked(3, scene.sent)), timeout=60) for _ in range(2)]
    assert reached.wait(60)
    identity = scene.unmasker.books.keys.public.identity
    assert devices.Enrol(Device().request(identity), timeout=60).certificate
    go_on.set()
    assert list(calls[0]) == list(calls[1])


def test_a_cancelled_call_leaves_nothing_and_is_asked_again(scene, stubs, monkeypatch):
    reached, go_on, real = threading.Event(), threading.Event(), summing.add_up

    def slow(*arguments):
        reached.set()
        assert go_on.wait(60)
        return real(*arguments)

    monkeypatch.setattr(summing, "add_up", slow)
    call = stubs[1].OpenSum(messages(scene.task.asked(3, scene.sent)), timeout=60)
    assert reached.wait(60)
    call.cancel()
    go_on.set()
    assert opened(stubs[1], messages(scene.task.asked(3, scene.sent)))[0].opened.set


def stalled(scene, stub, going):
    """Calls for a sum whose members do not come before `going` is set."""
    reached = threading.Event()

    def sent():
        begin, *members = messages(scene.task.asked(3, scene.sent))
        yield begin
        yield members[0]
        reached.set()
        going.wait(60)
        yield from members[1:]

    call = stub.OpenSum(sent(), timeout=60)
    assert reached.wait(60)
    return call


def test_a_caller_that_stalls_keeps_no_other_from_its_turn(scene, stubs):
    going, whole = threading.Event(), list(messages(scene.task.asked(3, scene.sent)))
    call = stalled(scene, stubs[1], going)
    try:
        answer = opened(stubs[1], whole)
    finally:
        going.set()
    assert answer[0].opened.set
    first, *rest = call
    assert (first, [response.masks for response in rest]) == answer


def test_there_is_room_for_so_many_bytes_and_the_end_of_a_call_gives_them_back(scene, unmasker, monkeypatch):
    whole = list(messages(scene.task.asked(3, scene.sent)))
    size = sum(message.ByteSize() for message in whole)
    for room, code in ((size, None), (size - 1, CODE.UNAVAILABLE)):
        monkeypatch.setattr(openings, "_MOST_BYTES", room)
        with served(unmasker) as servers, grpc.insecure_channel(servers.coordinators) as channel:
            for _ in range(3):
                if code is None:
                    assert opened(UnmaskServiceStub(channel), whole)[0].opened.set
                else:
                    assert status(UnmaskServiceStub(channel), whole) == code


def test_there_is_room_for_so_many_calls(scene, unmasker, monkeypatch):
    monkeypatch.setattr(openings, "_MOST_CALLS", 1)
    going, whole = threading.Event(), list(messages(scene.task.asked(3, scene.sent)))
    with served(unmasker) as servers, grpc.insecure_channel(servers.coordinators) as channel:
        stub = UnmaskServiceStub(channel)
        call = stalled(scene, stub, going)
        try:
            assert status(stub, whole) == CODE.UNAVAILABLE
        finally:
            going.set()
        assert next(iter(call)).opened.set
