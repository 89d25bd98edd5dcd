"""A fleet whose devices take different times: none waits for another, and the coordinator closes the rounds.

Times are simulated, and the coordinator's clock stands still. A device checks in and trains when it begins. It uploads
at its simulated end, against whatever round is open then. When it has ended, the next client of the cohort begins.
"""

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from math import inf

import numpy as np
from google.protobuf.message import Message

from client_sdk.protocol.drivers import drive_async
from client_sdk.protocol.interfaces import AsyncTransport
from client_sdk.protocol.values import Report
from client_sdk.protocol.wishes import Outcome, Result
from fedau2.v1 import admin_pb2
from simulator.engines.engine import RoundReport
from simulator.engines.fleet import FleetEngine
from simulator.engines.recording_engine import RecordingEngine
from simulator.errors import FleetError
from simulator.population import public_randomness
from simulator.population.population import Members

SLOWNESS = 10.0
"""A slow device takes so many times as long as another."""


class Speeds:
    """The simulated times of devices: 0.5 to 1.5 units, and `SLOWNESS` times as long for a slow one.

    Args:
        seed: of the run; the slow clients and all times are drawn from it.
        clients: number of clients.
        slow: share of the clients that are slow.
    """

    def __init__(self, seed: int, clients: int, slow: float) -> None:
        drawn = public_randomness.generator("slow", seed).permutation(clients)
        self._slow = frozenset(drawn[: round(slow * clients)].tolist())
        self._times = public_randomness.generator("times", seed)

    def time(self, member: int) -> float:
        """Draws the time that a client takes which begins next."""
        return float(self._times.uniform(0.5, 1.5)) * (SLOWNESS if member in self._slow else 1.0)


@dataclass
class Account:
    """The contributions of a fleet so far, and their cost in simulated units of time.

    Attributes:
        time: since the beginning.
        counted: contributions that count.
        refused: contributions that were refused.
        useful: time that devices spent on contributions that count.
        wasted: time that they spent on the refused ones.
        staleness: contributions to buffered rounds by the number of rounds that were committed since their check-ins.
    """

    time: float = 0.0
    counted: int = 0
    refused: int = 0
    useful: float = 0.0
    wasted: float = 0.0
    staleness: Counter[int] = field(default_factory=Counter)

    def end(self, flight: "_Flight", *, counts: bool) -> None:
        """Counts a device that has ended."""
        self.time, spent = flight.end, flight.end - flight.begun
        if counts:
            self.counted, self.useful = self.counted + 1, self.useful + spent
        else:
            self.refused, self.wasted = self.refused + 1, self.wasted + spent


class _Gate:
    """An `AsyncTransport` that holds an upload back until it is opened."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def call(self, request: Message, timeout: float = inf) -> Message:
        return await self._transport.call(request, timeout)

    def receive(self, request: Message, timeout: float = inf) -> AsyncGenerator[Message, None]:
        return self._transport.receive(request, timeout)

    async def send(self, kind: type[Message], requests: Iterator[Message], timeout: float = inf) -> Message:
        self.reached.set()
        await self.opened.wait()
        return await self._transport.send(kind, requests, timeout)


@dataclass(frozen=True, order=True)
class _Flight:
    """A device on its way. Devices end in the order of flights."""

    end: float
    number: int
    begun: float = field(compare=False)
    member: int = field(compare=False)
    gate: _Gate = field(compare=False)
    engine: RecordingEngine = field(compare=False)
    session: "asyncio.Task[Outcome]" = field(compare=False)


@dataclass
class _Course:
    """The devices on their way, and those that begin next."""

    flights: list[_Flight] = field(default_factory=list)
    queue: deque[int] = field(default_factory=deque)
    begun: int = 0
    round: int = 0


@dataclass(frozen=True, eq=False)
class AsynchronousFleet(FleetEngine):
    """Keeps as many devices on their way as a cohort has; a `RoundEngine`.

    A round's cohort is the order in which clients begin during it. Those that are on their way already are passed over.
    It is reproducible: devices begin and end one after another, in the order of simulated times.

    Attributes:
        speeds: the times of devices.
        account: contributions and times so far.
    """

    speeds: Speeds = field(default_factory=lambda: Speeds(0, 0, 0.0))
    account: Account = field(default_factory=Account)
    _course: _Course = field(default_factory=_Course)

    def close(self) -> None:
        """Ends the sessions that are under way, and closes the connection and the event loop."""
        self.runner.run(self._end())
        super().close()

    async def _end(self) -> None:
        sessions = [flight.session for flight in self._course.flights]
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)

    async def _train_round(self, members: Members) -> RoundReport:
        course, ended = self._course, dict[int, Report]()
        away = {flight.member for flight in course.flights}
        course.queue = deque(member for member in members.tolist() if member not in away)
        while True:
            await self._fill(len(members))
            if not course.flights:
                raise FleetError("no device has a place, and the round is open: it can never close")
            flight = heapq.heappop(course.flights)
            if await self._lands(flight):
                assert flight.engine.report is not None
                ended[flight.member] = flight.engine.report
            if (task := await self._settled()).round > course.round:
                course.round = task.round
                self.account.staleness.update(task.norms.staleness)
                await self._load(task)
                return RoundReport.join(np.array(list(ended)), list(ended.values()))

    async def _fill(self, most: int) -> None:
        """Lets clients begin until as many are on their way, or the coordinator has no place."""
        course = self._course
        while course.queue and len(course.flights) < most:
            flight = await self._begin(course.queue[0])
            if flight is None:
                return
            course.queue.popleft()
            heapq.heappush(course.flights, flight)

    async def _begin(self, member: int) -> _Flight | None:
        """Lets a client check in and train; None: it has no place."""
        course, begun = self._course, self.account.time
        gate, engine = _Gate(self.connection.transport), RecordingEngine(self.trainer)
        self.counts.sessions += 1
        session = asyncio.ensure_future(drive_async(await self._session(self._store(member), engine), gate))
        reached = asyncio.ensure_future(gate.reached.wait())
        await asyncio.wait([session, reached], return_when=asyncio.FIRST_COMPLETED)
        if not reached.done():
            reached.cancel()
            if (outcome := await session).result is not Result.REJECTED:
                raise FleetError(f"a session ended as {outcome.result.value}: {outcome.reason}")
            return None
        course.begun += 1
        return _Flight(begun + self.speeds.time(member), course.begun, begun, member, gate, engine, session)

    async def _lands(self, flight: _Flight) -> bool:
        """Lets a device upload; returns whether its contribution counts."""
        flight.gate.opened.set()
        outcome = await flight.session
        counts = outcome.result is Result.UPLOADED
        self.account.end(flight, counts=counts)
        return counts

    async def _settled(self) -> admin_pb2.Task:
        """Returns the task when no commit is under way."""
        while (task := await self._now()).round_state == admin_pb2.ROUND_STATE_AGGREGATING:
            await asyncio.sleep(0.002)
        return task
