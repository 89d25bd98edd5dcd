"""The fleet engine: each client is an SDK instance, and their sessions run concurrently against a real coordinator."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from google.protobuf.message import Message

from client_sdk.errors import TransportError
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.drivers import drive_async, fetch_async
from client_sdk.protocol.interfaces import Engine
from client_sdk.protocol.session import Session, session
from client_sdk.protocol.values import Report
from client_sdk.protocol.wishes import Fetch, Outcome, Result
from export.bundle import Bundle
from fedau2.v1 import admin_pb2
from fedau2.v1.task_pb2 import ClosingRule, Resource
from fedau2.wire import blobs
from fedau2.wire.status import StatusError
from simulator.engines.connections import Connection
from simulator.engines.engine import RoundReport, Traffic, require_any_cohort
from simulator.engines.membership import Members
from simulator.engines.recording_engine import RecordingEngine
from simulator.engines.task_creation import POPULATION, closing, requests
from simulator.errors import FleetError
from simulator.population.client_store import BlobCache, ClientStore
from simulator.population.population import Members as Cohort
from simulator.population.population import Population

VERSION = "simulator"
_ATTEMPTS = 600
"""Attempts of a session or call while the coordinator does not answer or its round is full: about a minute."""

T = TypeVar("T")


@dataclass
class FleetCounts:
    """Bytes and sessions of a fleet so far. Contributions are counted when staged, blobs when downloaded."""

    uploaded: int = 0
    downloaded: int = 0
    sessions: int = 0


@dataclass(frozen=True, eq=False)
class FleetEngine:
    """Runs the sessions of each round's cohort; a `RoundEngine`.

    It is reproducible: only the cohort's clients start sessions, and a round ends when all have contributed.

    Attributes:
        connection: the connection to the coordinator.
        population: the clients; training changes their state.
        runner: the event loop of all sessions.
        trainer: the SDK engine that trains on each device.
        members: enrols the devices for secure sums; None: the task is plain.
        counts: the bytes and sessions so far.
    """

    connection: Connection
    population: Population
    runner: asyncio.Runner
    trainer: Engine
    members: Members | None = None
    counts: FleetCounts = field(default_factory=FleetCounts)
    _cache: BlobCache = field(default_factory=BlobCache)
    _stores: dict[int, ClientStore] = field(default_factory=dict)
    _progress: "_Progress" = field(default_factory=lambda: _Progress())

    @classmethod
    def start(
        cls,
        connect: Callable[[], Coroutine[Any, Any, Connection]],
        bundle: Bundle,
        population: Population,
        cohort: int,
        rounds: int,
        trainer: Engine | None = None,
        members: Members | None = None,
        rule: ClosingRule | None = None,
        **own: Any,  # noqa: ANN401
    ) -> Self:
        """Connects and creates the task.

        Args:
            connect: opens the connection to the coordinator.
            bundle: the task.
            population: the clients.
            cohort: clients of a round.
            rounds: rounds of the task.
            trainer: the SDK engine that trains on each device; PyTorch by default.
            members: enrols the devices for secure sums; None: the task is plain.
            rule: closes rounds; by default they close when the whole cohort has contributed.
            own: further attributes, of a subclass.

        Raises:
            ConfigError: the plan keeps a client's contributions several rounds apart.
        """
        require_any_cohort(bundle.manifest.plan)
        runner = asyncio.Runner()
        fleet = cls(runner.run(connect()), population, runner, trainer or TorchEngine(), members, **own)
        try:
            runner.run(fleet._create(bundle, rule or closing(cohort, cohort), rounds))
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
        """The coordinator's id of the task."""
        return self._progress.task_id

    def enrol(self) -> None:
        """Enrols all clients now instead of at their first contribution. In a plain task there is nothing to do."""
        self.runner.run(self._enrol())

    def train_round(self, members: Cohort) -> RoundReport:
        """Runs the cohort's sessions and waits for the commit of the round.

        Raises:
            FleetError: a session was refused, or the coordinator did not answer.
        """
        return self.runner.run(self._train_round(members))

    @property
    def resumable(self) -> None:
        """None: a fleet cannot resume, since its coordinator and devices hold state as well."""
        return None

    def traffic(self, contributions: int) -> Traffic:
        """Returns the measured bytes of a contribution, the mean over this many."""
        return Traffic(self.counts.uploaded / contributions, self.counts.downloaded / contributions)

    def contributors(self) -> dict[bytes, int]:
        """Maps the assignment of each acknowledged contribution to its client, which the coordinator cannot know."""
        return {assignment: member for member, store in self._stores.items() for assignment in store.assignments}

    def close(self) -> None:
        """Closes the connection and the event loop."""
        if self.members is not None:
            self.runner.run(self.members.close())
        self.runner.run(self.connection.close())
        self.runner.close()

    async def _create(self, bundle: Bundle, rule: ClosingRule, rounds: int) -> None:
        creation = self.connection.admin.send(admin_pb2.CreateTaskRequest, requests(bundle, rule, rounds))
        task = await _task(creation)
        self._progress.task_id = task.task_id
        await self._load(task)

    async def _train_round(self, members: Cohort) -> RoundReport:
        members = members[members.argsort()]
        reports = await asyncio.gather(*(self._contribute(int(member)) for member in members))
        await self._load(await self._committed())
        return RoundReport.join(members, reports)

    async def _contribute(self, member: int) -> Report:
        """Runs sessions of a client until a contribution is acknowledged.

        A device whose check-in or upload was not answered starts another session, which sends the same bytes.
        """
        store = self._store(member)
        engine = RecordingEngine(self.trainer)
        for _ in range(_ATTEMPTS):
            self.counts.sessions += 1
            try:
                outcome = await drive_async(await self._session(store, engine), self.connection.transport)
            except TransportError:
                await asyncio.sleep(0.1)
                continue
            if outcome.result is Result.UPLOADED and engine.report is not None:
                return engine.report
            await _wait_if_rejected(outcome)
        raise FleetError(f"client {member} could not contribute: the coordinator does not answer or accepts no client")

    async def _enrol(self) -> None:
        if self.members is not None:
            for member in range(len(self.population)):
                await self.members.of(self._store(member))

    def _store(self, member: int) -> ClientStore:
        if member not in self._stores:
            self._stores[member] = ClientStore(self.population, member, self._cache, self.counts)
        return self._stores[member]

    async def _session(self, store: ClientStore, engine: Engine) -> Session:
        if self.members is None:
            return session(store, engine, POPULATION, VERSION)
        membership = await self.members.of(store)
        return session(store, engine, POPULATION, VERSION, trust=self.members.trust, members=membership)

    async def _committed(self) -> admin_pb2.Task:
        self._progress.round += 1
        while (task := await self._now()).round < self._progress.round:
            await asyncio.sleep(0.002)
        return task

    async def _now(self) -> admin_pb2.Task:
        request = admin_pb2.GetTaskRequest(task_id=self._progress.task_id)
        return await _retry(lambda: _task(self.connection.admin.call(request)))

    async def _load(self, task: admin_pb2.Task) -> None:
        self._progress.checkpoint = blobs.unpack(await _retry(lambda: self._fetch(task.checkpoint)))

    async def _fetch(self, resource: Resource) -> bytes:
        return await fetch_async(Fetch(resource, blobs.Assembler(resource)), self.connection.transport)


async def _task(call: Awaitable[Message]) -> admin_pb2.Task:
    """Awaits an operator's call that returns a task.

    Raises:
        FleetError: the coordinator refused the call.
    """
    try:
        task = await call
    except StatusError as error:
        raise FleetError(f"the coordinator refused the call: {error}") from error
    assert isinstance(task, admin_pb2.Task)
    return task


async def _wait_if_rejected(outcome: Outcome) -> None:
    """Waits a moment after a rejected session, and raises an error after any other."""
    if outcome.result is not Result.REJECTED:
        raise FleetError(f"a session ended as {outcome.result.value}: {outcome.reason}")
    await asyncio.sleep(0.1)


async def _retry(call: Callable[[], Awaitable[T]]) -> T:
    """Repeats a call while the coordinator does not answer."""
    for _ in range(_ATTEMPTS):
        try:
            return await call()
        except TransportError:
            await asyncio.sleep(0.1)
    raise FleetError("the coordinator does not answer")


@dataclass
class _Progress:
    task_id: str = ""
    round: int = 0
    checkpoint: blobs.Tensors = field(default_factory=dict)
