"""The fleet: every simulated client is an SDK instance whose sessions run concurrently against a real coordinator."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from google.protobuf.duration_pb2 import Duration

from client_sdk.errors import TransportError
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.drivers import drive_async, fetch_async
from client_sdk.protocol.interfaces import AsyncTransport, Training
from client_sdk.protocol.interfaces import Engine as DeviceEngine
from client_sdk.protocol.session import session
from client_sdk.protocol.values import Job, Report, TrainingResult
from client_sdk.protocol.wishes import Outcome, Result
from export.bundle import Bundle
from fedau2.v1 import admin_pb2
from fedau2.v1.task_pb2 import ClosingRule
from fedau2.wire import blobs
from simulator.engines.engine import RoundReport, require_any_cohort
from simulator.errors import FleetError
from simulator.population.client_store import BlobCache, ClientStore
from simulator.population.population import Members, Population

POPULATION = "simulation"
VERSION = "simulator"
_PATIENCE = 600
"""Retries of one session while the coordinator is away or its round is full, about a minute."""

T = TypeVar("T")


class Link(Protocol):
    """A way to a coordinator, for devices and for the operator."""

    @property
    def transport(self) -> AsyncTransport:
        """For the devices' sessions."""

    async def create_task(self, requests: AsyncIterator[admin_pb2.CreateTaskRequest]) -> admin_pb2.Task:
        """AdminService.CreateTask."""

    async def get_task(self, request: admin_pb2.GetTaskRequest) -> admin_pb2.Task:
        """AdminService.GetTask."""

    async def close(self) -> None:
        """Ends the coordinator or the connection."""


@dataclass
class Traffic:
    """Bytes and sessions of a fleet so far; contributions are counted when staged, blobs when fetched."""

    uploaded: int = 0
    downloaded: int = 0
    sessions: int = 0


@dataclass(frozen=True, eq=False)
class FleetEngine:
    """Drives sessions; `engine.Engine`. Reproducible: only the cohort's sessions start, and the round waits for all.

    Attributes:
        link: the way to the coordinator.
        population: the clients; their state changes as they train.
        runner: the event loop that everything runs on.
        trainer: what trains on every device.
    """

    link: Link
    population: Population
    runner: asyncio.Runner
    trainer: DeviceEngine
    traffic: Traffic = field(default_factory=Traffic)
    _cache: BlobCache = field(default_factory=BlobCache)
    _stores: dict[int, ClientStore] = field(default_factory=dict)
    _progress: "_Progress" = field(default_factory=lambda: _Progress())

    @classmethod
    def start(
        cls,
        open_link: Callable[[], Coroutine[Any, Any, Link]],
        bundle: Bundle,
        population: Population,
        cohort: int,
        rounds: int,
        trainer: DeviceEngine | None = None,
    ) -> "FleetEngine":
        """Connects and creates the task: goal = minimum = maximum = cohort. PyTorch trains by default.

        Raises:
            ConfigError: the plan keeps a client's contributions several rounds apart.
        """
        require_any_cohort(bundle.manifest.plan)
        runner = asyncio.Runner()
        fleet = cls(runner.run(open_link()), population, runner, trainer or TorchEngine())
        try:
            runner.run(fleet._create(bundle, cohort, rounds))
        except BaseException:
            fleet.close()
            raise
        return fleet

    @property
    def checkpoint(self) -> blobs.Tensors:
        """The newest shared tensors."""
        return self._progress.checkpoint

    @property
    def task_id(self) -> str:
        """As the coordinator named the task."""
        return self._progress.task_id

    def train_round(self, members: Members) -> RoundReport:
        """Runs the cohort's sessions and waits for the commit.

        Raises:
            FleetError: a session was refused, or the coordinator stayed away.
        """
        return self.runner.run(self._train_round(members))

    def contributor(self) -> dict[bytes, int]:
        """By assignment whose contribution it was, of all that were acknowledged; the coordinator cannot know."""
        return {each: member for member, store in self._stores.items() for each in store.assignments}

    def close(self) -> None:
        """Ends the link and the loop."""
        self.runner.run(self.link.close())
        self.runner.close()

    async def _create(self, bundle: Bundle, cohort: int, rounds: int) -> None:
        task = await self.link.create_task(_creation(bundle, cohort, rounds))
        self._progress.task_id = task.task_id
        await self._load(task)

    async def _train_round(self, members: Members) -> RoundReport:
        members = members[members.argsort()]
        reports = await asyncio.gather(*(self._contribute(int(member)) for member in members))
        await self._load(await self._committed())
        return RoundReport.join(members, reports)

    async def _contribute(self, member: int) -> Report:
        """Sessions of one client until one ends with an acknowledged contribution.

        A device whose check-in or upload went unanswered comes again; its store sends the same bytes again.
        """
        store = self._stores.setdefault(member, ClientStore(self.population, member, self._cache, self.traffic))
        engine = _RecordingEngine(self.trainer)
        for _ in range(_PATIENCE):
            self.traffic.sessions += 1
            try:
                outcome = await drive_async(session(store, engine, POPULATION, VERSION), self.link.transport)
            except TransportError:
                await asyncio.sleep(0.1)
                continue
            if outcome.result is Result.UPLOADED and engine.report is not None:
                return engine.report
            await self._explain(outcome)
        raise FleetError(f"client {member} could not contribute: the coordinator does not answer or takes nobody")

    async def _explain(self, outcome: Outcome) -> None:
        if outcome.result is not Result.REJECTED:
            raise FleetError(f"a session ended as {outcome.result.value}: {outcome.reason}")
        await asyncio.sleep(0.1)

    async def _committed(self) -> admin_pb2.Task:
        self._progress.round += 1
        request = admin_pb2.GetTaskRequest(task_id=self._progress.task_id)
        while (task := await _patiently(lambda: self.link.get_task(request))).round < self._progress.round:
            await asyncio.sleep(0.002)
        return task

    async def _load(self, task: admin_pb2.Task) -> None:
        self._progress.checkpoint = blobs.unpack(
            await _patiently(lambda: fetch_async(self.link.transport, task.checkpoint))
        )


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Repeats a call while the coordinator is away."""
    for _ in range(_PATIENCE):
        try:
            return await call()
        except TransportError:
            await asyncio.sleep(0.1)
    raise FleetError("the coordinator stays away")


@dataclass
class _Progress:
    task_id: str = ""
    round: int = 0
    checkpoint: blobs.Tensors = field(default_factory=dict)


class _RecordingEngine:
    """Lets the simulator see the report that a device keeps to itself."""

    def __init__(self, trainer: DeviceEngine) -> None:
        self._trainer = trainer
        self.report: Report | None = None

    def begin(self, job: Job) -> "_Recording":
        return _Recording(self, self._trainer.begin(job))


class _Recording:
    def __init__(self, owner: _RecordingEngine, training: Training) -> None:
        self._owner, self._training = owner, training

    @property
    def steps(self) -> int:
        return self._training.steps

    def step(self) -> None:
        self._training.step()

    def finish(self) -> TrainingResult:
        result = self._training.finish()
        self._owner.report = result.report
        return result


async def _creation(bundle: Bundle, cohort: int, rounds: int) -> AsyncIterator[admin_pb2.CreateTaskRequest]:
    closing = ClosingRule(
        goal=cohort,
        minimum=cohort,
        maximum=cohort,
        over_selection=1,  # room for a device that lost the answer to its check-in
        deadline=Duration(seconds=86400),
        lease=Duration(seconds=3600),
    )
    manifest = bundle.manifest.SerializeToString(deterministic=True)
    header = admin_pb2.CreateTaskHeader(population=POPULATION, manifest=manifest, rounds=rounds, closing=closing)
    yield admin_pb2.CreateTaskRequest(header=header)
    for data in bundle.blobs.values():
        for chunk in blobs.chunks(data):
            yield admin_pb2.CreateTaskRequest(blob=admin_pb2.BlobPart(sha256=blobs.sha256(data), data=chunk))
