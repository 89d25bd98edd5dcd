"""Coordinator and unmasker are killed again and again: every round with secure sums ends in the sum of its devices."""

import asyncio
import random
import signal
import time
from contextlib import suppress

import grpc
import pytest

from fedau2.v1.device_pb2 import CheckInRequest
from fedau2.v1.device_pb2_grpc import DeviceServiceStub
from tests.coordinator import hidden
from tests.coordinator.conftest import upload_requests
from tests.coordinator.hidden import MINIMUM, Party
from tests.durability.audit import books
from tests.durability.server import Coordinator, Unmasker

POPULATION = "movies"
_PAUSE = 0.05
_FINAL = (grpc.StatusCode.ABORTED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.NOT_FOUND)
"""Refusals after which a device checks in again."""


class Fleet:
    """Devices that each contribute once to every round, however often the coordinator dies.

    A round begins once it is its turn by the number of kills so far, so that kills are spread over all rounds.
    """

    def __init__(self, party, made, address, rounds, kills):
        self._devices, self._made = party.devices[:MINIMUM], made
        self._address, self._rounds, self._kills = address, rounds, kills
        self.killed = 0

    async def run(self):
        options = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 50)]
        async with grpc.aio.insecure_channel(self._address, options) as channel:
            stub = DeviceServiceStub(channel)
            for number in range(self._rounds):
                while self.killed < self._kills * number // self._rounds:
                    await asyncio.sleep(_PAUSE)
                await asyncio.gather(*(self._contribute(stub, device, number) for device in self._devices))

    async def _contribute(self, stub, device, number):
        while True:
            with suppress(grpc.aio.AioRpcError):
                answer = await stub.CheckIn(CheckInRequest(population=POPULATION, enrolled=True), timeout=10)
                if answer.HasField("assignment") and answer.assignment.round == number:
                    data = device.contribution(answer.assignment, self._made.manifest)
                    if await self._uploaded(stub, answer.assignment, data):
                        return
            await asyncio.sleep(_PAUSE)

    async def _uploaded(self, stub, assignment, data):
        """Sends the same bytes until they are acknowledged, or refused for good."""
        while True:
            try:
                await stub.UploadContribution(upload_requests(assignment.assignment_id, data), timeout=10)
            except grpc.aio.AioRpcError as error:
                if error.code() in _FINAL and "fedau2-retry-window-bin" in dict(error.trailing_metadata() or ()):
                    return False
                await asyncio.sleep(_PAUSE)
            else:
                return True


async def kill(coordinator, unmasker, kills, rng, fleet):
    """Kills the one or the other, and starts it again at once."""
    for number in range(kills):
        await asyncio.sleep(rng.uniform(0, 0.8))
        fleet.killed = number + 1
        victim = rng.choice([coordinator, unmasker])
        await asyncio.to_thread(victim.end, signal.SIGKILL)
        victim.start()
        if victim is coordinator and rng.random() < 0.8:  # else it may be killed while it starts
            await asyncio.to_thread(coordinator.await_serving)


def committed(coordinator):
    with books(coordinator.state) as ledger:
        return ledger.newest()[2]


def check(folder, kills, rounds, seed):
    party = Party(folder / "unmasker", clock=time.time)
    made, unmasker = hidden.bundle(party.identity, rounds=rounds), Unmasker(party.folder.path)
    made.write(folder / "bundle")
    (folder / "identity.pub").write_bytes(party.folder.public_key.read_bytes())
    coordinator = Coordinator(folder, "--unmasker", unmasker.address, "--unmasker-key", folder / "identity.pub")
    unmasker.start()
    coordinator.start()
    try:
        coordinator.await_serving()
        rule = ("--rounds", rounds, "--goal", MINIMUM, "--over-selection", 4, "--lease", 3, "--deadline", 20)
        coordinator.create_task(folder / "bundle", POPULATION, *rule)

        async def run():
            fleet = Fleet(party, made, coordinator.addresses[0], rounds, kills)
            async with asyncio.timeout(60 + 10 * kills):
                rng = random.Random(f"hidden/{seed}")
                await asyncio.gather(fleet.run(), kill(coordinator, unmasker, kills, rng, fleet))
                while committed(coordinator) < rounds:
                    await asyncio.sleep(0.1)

        asyncio.run(run())
    finally:
        coordinator.abandon()
        unmasker.end(signal.SIGKILL)
    with books(coordinator.state) as ledger:
        ledger.check_histories()
        checkpoints = ledger.checkpoints()
    cohorts = [(number, party.devices[:MINIMUM]) for number in range(rounds)]
    assert checkpoints == [hidden.expected(made, cohorts[: number + 1]) for number in range(rounds)]
    assert not list((coordinator.state / "log").iterdir())


def test_ten_kills_of_coordinator_and_unmasker_change_no_byte(tmp_path):
    check(tmp_path, kills=10, rounds=3, seed=1)


@pytest.mark.slow
def test_two_hundred_kills_of_coordinator_and_unmasker_change_no_byte(tmp_path):
    check(tmp_path, kills=200, rounds=40, seed=2)
