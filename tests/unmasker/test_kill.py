"""Killed at any moment, an unmasker has kept all that it has answered, and gives no round a second key or sum."""

import random
import signal
import time
from contextlib import closing

import grpc
import numpy as np
import pytest

from fedau2.v1.unmasker_pb2 import CloseRoundRequest, LogRequest
from fedau2.v1.unmasker_pb2_grpc import EnrolmentServiceStub, UnmaskServiceStub
from fedau2.wire.identity import audit, log, signing
from tests.unmasker.conftest import RULES
from tests.unmasker.device import Device, opening
from tests.unmasker.served import Child
from tests.unmasker.sums import Crowd, Task, messages
from unmasker import Books, StateFolder, Unmasker

_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.FAILED_PRECONDITION)
"""Ends of calls of a process that dies; the last is of a round that a later one, sent after it, has overtaken."""


class Answer:
    """A stream of responses that is under way."""

    def __init__(self, call):
        self._call = call

    def result(self, _):
        return list(self._call)


class World:
    """Devices and a coordinator, that remember every answer."""

    def __init__(self, identity, seed, crowd):
        self._task, self._crowd, self._summed, self.sums = Task(identity, b"summed"), crowd, 0, {}
        self._identity, self._rng = identity, random.Random(f"kill/{seed}")
        self.certificates, self.keys, self.head = {}, {}, None
        self._closed, self._devices, self._newest = -1, [], -1

    def live(self, addresses, child, seconds):
        """Asks until the unmasker is dead, which it is after some seconds."""
        end = time.monotonic() + seconds
        with grpc.insecure_channel(addresses[0]) as first, grpc.insecure_channel(addresses[1]) as second:
            devices, coordinators = EnrolmentServiceStub(first), UnmaskServiceStub(second)
            self._check(devices, coordinators)
            self._begin_sum(coordinators)
            for ask in (self._enrol, self._open):  # so that every life has answered something
                keep, call = ask(devices, coordinators)
                keep(call.result(60))
            calls = []
            while time.monotonic() < end:
                calls.append(self._ask(devices, coordinators))
            calls += [self._ask(devices, coordinators) for _ in range(3)]  # under way when it dies
            calls.append(self._sum(devices, coordinators))
            child.end(signal.SIGKILL)
            for keep, call in calls:
                try:
                    keep(call.result(30))
                except grpc.RpcError as error:
                    if error.code() not in _LOST:
                        raise

    def _ask(self, devices, coordinators):
        """Makes one call, without waiting for its answer; returns what keeps the answer, and the call."""
        (chosen,) = self._rng.choices([self._enrol, self._open, self._close, self._sum], [5, 4, 1, 1])
        return chosen(devices, coordinators)

    def _enrol(self, devices, coordinators):
        device = Device()
        call = devices.Enrol.future(device.request(self._identity), timeout=60)
        return lambda response: self.certificates.update({device: response.certificate}), call

    def _open(self, devices, coordinators):
        self._newest += 1
        number = self._newest
        call = coordinators.OpenRound.future(opening(number, seen=self.head), timeout=60)
        return lambda response: self._opened(number, response), call

    def _close(self, devices, coordinators):
        self._closed = self._newest
        request = CloseRoundRequest(task_id=opening(0).task_id, round=self._closed)
        return lambda response: None, coordinators.CloseRound.future(request, timeout=60)

    def _begin_sum(self, coordinators):
        """Opens the next round of the task whose sums are opened, and has all devices contribute to it."""
        self._summed += 1
        key = coordinators.OpenRound(self._task.opening(self._summed), timeout=60).key
        self._sent = self._task.contributions(key, self._crowd)

    def _sum(self, devices, coordinators):
        number = self._summed
        call = coordinators.OpenSum(messages(self._task.asked(number, self._sent)), timeout=60)
        return lambda answer: self._keep_sum(number, answer), Answer(call)

    def _keep_sum(self, number, answer):
        assert self.sums.setdefault(number, answer) == answer, "a round has two answers"

    def _check_sum(self, coordinators, logged):
        """Asks again for the newest sum, and for another. All that were answered are in the log."""
        assert {number: logged[number].set for number in self.sums} == {
            number: answer[0].opened.set for number, answer in self.sums.items()
        }
        if self._summed:
            keep, call = self._sum(None, coordinators)
            keep(call.result(60))
            with pytest.raises(grpc.RpcError) as raised:
                list(coordinators.OpenSum(messages(self._task.asked(self._summed, self._sent[1:])), timeout=60))
            assert raised.value.code() == grpc.StatusCode.ALREADY_EXISTS
            opened, *pieces = self.sums[self._summed]
            masks = b"".join(piece.masks for piece in pieces)
            decoded = self._task.decoded(self._sent, opened.opened, masks)
            assert np.array_equal(decoded, self._task.expected(self._sent))

    def _opened(self, number, response):
        self.keys[number] = response.key
        if self.head is None or response.head.size > self.head.size:
            self.head = response.head

    def _check(self, devices, coordinators):
        """Asks again for all that was answered, and reads the log as everybody can."""
        for device, certificate in self.certificates.items():
            assert devices.Enrol(device.request(self._identity), timeout=60).certificate == certificate
        whole = log.read(devices.Log(LogRequest(), timeout=60), self._identity)
        audit.check(whole, self._identity)
        assert not any(entry.HasField("epoch") for entry in whole.entries), "a kill is not a restoration"
        assert self.head is None or whole.follows(self.head)
        keys = [entry.round.key for entry in whole.entries if entry.HasField("round")]
        logged = {key.round: key for key in keys if key.task_id != self._task.id}
        assert {number: logged[number] for number in self.keys} == self.keys
        if self._newest in self.keys and self._newest > self._closed and max(logged) == self._newest:
            answer = coordinators.OpenRound(opening(self._newest, seen=self.head), timeout=60)
            assert answer.key == self.keys[self._newest]
        self._check_sum(coordinators, {entry.sum.round: entry.sum for entry in whole.entries if entry.HasField("sum")})


def check_kills(tmp_path, kills, url=None):
    folder = StateFolder(tmp_path / "state")
    with closing(Unmasker(Books.make(folder, url), RULES)) as made:
        crowd = Crowd(made)
    world, rng = World(signing.read_public(folder.public_key.read_bytes()), 0, crowd), random.Random("moments")
    child = Child(folder.path, "--accept", "open", *(() if url is None else ("--database", url)))
    try:
        for _ in range(kills):
            world.live(child.start(), child, rng.uniform(0, 0.3))
        world.live(child.start(), child, 0)
    finally:
        child.end()
    assert len(world.keys) > kills
    assert len(world.certificates) > kills
    assert len(world.sums) == kills


def test_nothing_that_was_answered_is_lost_to_a_few_kills(tmp_path):
    check_kills(tmp_path, 2)


@pytest.mark.slow
def test_nor_to_many(tmp_path):
    check_kills(tmp_path, 100)


@pytest.mark.slow
def test_nor_to_many_on_postgresql(tmp_path, postgres_url):
    check_kills(tmp_path, 30, postgres_url)
