"""Measures how many devices have a model, and how old it is, where a round has places for few of them.

`python -m scripts.reach` lets each of 1,000 devices sync once a round, in an order drawn anew, while ten have places.
The devices are real state folders, and the coordinator is one in this process. With `--places-only` a
device fetches a model for its place only.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import inf
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from client_sdk.errors import NoModelError
from client_sdk.interactions import Kept
from client_sdk.kernel.fedncf_parameters import Widths
from client_sdk.onnx.onnx_engine import OnnxEngine
from client_sdk.onnx.serving import Serving
from client_sdk.protocol.drivers import drive_async
from client_sdk.protocol.session import Session, session
from client_sdk.protocol.trust import Trust
from client_sdk.scheduling.syncing import Syncs
from client_sdk.store.sqlite_store import SqliteStore
from client_sdk.subscriptions import Events
from client_sdk.transport.inprocess import InProcessTransport
from coordinator.engine.coordinator import Coordinator
from export.bundle import Bundle, build
from export.plan.message import plan_of
from fedau2.v1 import admin_pb2
from fedau2.v1.task_pb2 import ClosingRule
from fedau2.wire import blobs
from simulator.engines.connections import ADMIN

_POPULATION = "films"
_ITEMS = [f"film-{number}" for number in range(200)]
_DAY = 86400.0


@dataclass(frozen=True)
class Setting:
    """The setting of a measurement.

    Attributes:
        devices: their number.
        places: of a round.
        rounds: their number.
        daily: rounds of a day, in which each device syncs as often.
        oldest: seconds after which a model is replaced by a newer one.
        places_only: True if devices without a place fetch nothing.
    """

    devices: int
    places: int
    rounds: int
    daily: int
    oldest: float
    places_only: bool


@dataclass(frozen=True)
class Reach:
    """The devices after a round.

    Attributes:
        models: devices that can recommend.
        mean: mean age of their models, in rounds.
        oldest: the largest age.
        fetched: bytes that were fetched in this round, by all devices.
    """

    models: int
    mean: float
    oldest: int
    fetched: int


class _Held(InProcessTransport):
    """Holds uploads back until all devices have synced, so that one round lasts as long as that."""

    def __init__(self, coordinator: Coordinator) -> None:
        super().__init__(coordinator.devices)
        self.uploading, self.go = asyncio.Semaphore(0), asyncio.Event()

    async def send(self, kind: type[Message], requests: Iterator[Message], timeout: float = inf) -> Message:
        self.uploading.release()
        await self.go.wait()
        return await super().send(kind, requests, timeout)


class _Devices:
    """All devices, on one clock."""

    def __init__(self, folder: Path, setting: Setting) -> None:
        self._folder, self._setting, self._engine = folder, setting, OnnxEngine()
        self.now = 1e9

    def make(self) -> None:
        """Makes the state folders, each with some interactions."""
        for device in range(self._setting.devices):
            with closing(self._store(device)) as store:
                store.record_many([Kept(item, 0) for item in random.Random(device).sample(_ITEMS, 5)])

    async def sync(self, device: int, transport: InProcessTransport) -> None:
        """Syncs one device."""
        with closing(self._store(device)) as store:
            syncs = Syncs(store, _POPULATION, Events(), self._setting.oldest, lambda: self.now)
            syncs.ended(await drive_async(self._session(store, syncs), transport))

    def ages(self, number: int) -> list[int]:
        """Returns the ages of the models of the devices that can recommend: in rounds before round `number`."""
        return [number - age for device in range(self._setting.devices) if (age := self._model(device)) is not None]

    def _session(self, store: SqliteStore, syncs: Syncs) -> Session:
        if self._setting.places_only:
            return session(store, self._engine, _POPULATION, "1")
        return syncs.session(self._engine, Trust())

    def _model(self, device: int) -> int | None:
        with closing(self._store(device)) as store:
            model = store.model()
            try:
                Serving(store, Trust()).recommend(10)
            except NoModelError:
                return None
            return None if model is None else model.round

    def _store(self, device: int) -> SqliteStore:
        return SqliteStore(self._folder / str(device))


async def measure(folder: Path, setting: Setting) -> list[Reach]:
    """Runs the rounds and returns the reach after each."""
    devices = _Devices(folder / "devices", setting)
    devices.make()
    coordinator = await Coordinator.open(folder / "coordinator", clock=lambda: devices.now)
    async with coordinator:
        bundle = build("fedncf", _ITEMS, plan_of("fedncf", {}), 0, Widths(gmf=4, mlp=8, hidden=(8, 4)))
        await _operator(coordinator).send(admin_pb2.CreateTaskRequest, _creation(bundle, setting))
        return [await _round(coordinator, devices, number, setting) for number in range(setting.rounds)]


async def _round(coordinator: Coordinator, devices: _Devices, number: int, setting: Setting) -> Reach:
    order = random.Random(number).sample(range(setting.devices), setting.devices)
    transport, before = _Held(coordinator), _sent(coordinator)
    first = [asyncio.create_task(devices.sync(device, transport)) for device in order[: setting.places]]
    for _ in first:
        await transport.uploading.acquire()
    for device in order[setting.places :]:
        await devices.sync(device, transport)
    transport.go.set()
    await asyncio.gather(*first)
    while await _committed(coordinator) <= number:
        await asyncio.sleep(0.01)
    ages = devices.ages(number)
    devices.now += _DAY / setting.daily
    return Reach(len(ages), statistics.mean(ages), max(ages), _sent(coordinator) - before)


def _operator(coordinator: Coordinator) -> InProcessTransport:
    return InProcessTransport(coordinator.admin, ADMIN)


async def _committed(coordinator: Coordinator) -> int:
    response = await _operator(coordinator).call(admin_pb2.ListTasksRequest())
    assert isinstance(response, admin_pb2.ListTasksResponse)
    return response.tasks[0].round


def _sent(coordinator: Coordinator) -> int:
    return int(coordinator.metrics.sent._value.get())


def _creation(bundle: Bundle, setting: Setting) -> Iterator[admin_pb2.CreateTaskRequest]:
    closing_rule = ClosingRule(
        goal=setting.places,
        minimum=setting.places,
        maximum=setting.places,
        deadline=Duration(seconds=10**6),
        lease=Duration(seconds=10**6),
    )
    header = admin_pb2.CreateTaskHeader(
        population=_POPULATION,
        manifest=bundle.manifest.SerializeToString(deterministic=True),
        rounds=setting.rounds,
        closing=closing_rule,
    )
    yield admin_pb2.CreateTaskRequest(header=header)
    for data in bundle.blobs.values():
        yield admin_pb2.CreateTaskRequest(blob=admin_pb2.BlobPart(sha256=blobs.sha256(data), data=data))


def _table(reaches: Sequence[Reach]) -> str:
    lines = ["| round | can recommend | mean age, rounds | oldest | fetched, MB |", "|---|---|---|---|---|"]
    lines += [
        f"| {number} | {reach.models} | {reach.mean:.2f} | {reach.oldest} | {reach.fetched / 1e6:.2f} |"
        for number, reach in enumerate(reaches, 1)
    ]
    return "\n".join(lines)


def main() -> None:
    """Prints the reach after each round as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--places", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--daily", type=int, default=4, help="rounds of a day")
    parser.add_argument("--days", type=float, default=1.0, help="age at which a model is replaced by a newer one")
    parser.add_argument("--places-only", action="store_true", help="devices without a place fetch nothing")
    given = parser.parse_args()
    setting = Setting(
        given.devices, given.places, given.rounds, given.daily, given.days * _DAY, places_only=given.places_only
    )
    with tempfile.TemporaryDirectory() as folder:
        print(_table(asyncio.run(measure(Path(folder), setting))))


if __name__ == "__main__":
    main()
