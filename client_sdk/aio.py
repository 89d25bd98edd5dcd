"""The SDK for apps on asyncio: `AsyncFedClient`, the blocking client with coroutines in place of calls that wait.

A round is the same generator as in the blocking client (`client_sdk.protocol.session`), driven on the loop. Calls to
the coordinator are coroutines. Computations and writes to the disk run in a thread, one after the other.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack

from client_sdk import arguments
from client_sdk.client import FedClient, Recommendation
from client_sdk.engines import Chosen
from client_sdk.events import Events
from client_sdk.personalisation.outcome import Personalisation
from client_sdk.personalisation.personaliser import STEPS
from client_sdk.privacy import Privacy, PrivacyReport
from client_sdk.protocol.drivers import Check, drive_async
from client_sdk.protocol.wishes import Outcome
from client_sdk.scheduling.background import Background
from client_sdk.scheduling.schedule import Constraints, DeviceState
from client_sdk.scheduling.syncing import Syncs, refusals
from client_sdk.scheduling.timeout import Timeout
from client_sdk.status import ClientStatus

if TYPE_CHECKING:
    from client_sdk.transport.grpc_transport import AioGrpcTransport

_Result = TypeVar("_Result")
_PAUSE = 0.05
"""Seconds between two checks for the end of a sync in the background."""
_ANY_TIME = Timeout(None)


class Options(TypedDict, total=False):
    """The options of `FedClient.open`, which describes them."""

    engine: Chosen
    root_certificates: bytes | None
    insecure: bool
    starter: str | PathLike[str] | None
    max_interactions: int
    publishers: Iterable[bytes] | None
    max_model_age: timedelta | None
    personal_steps: int | None


class AsyncFedClient:
    """`FedClient` for asyncio. Its methods do and raise the same. Callbacks of events run in a thread.

    >>> from tempfile import TemporaryDirectory
    >>> async def app(folder):
    ...     async with await AsyncFedClient.open(folder, "fed.example.com:443", "movies") as client:
    ...         await client.record("movie-1193")
    ...         return (await client.status()).recorded
    >>> with TemporaryDirectory() as folder:
    ...     asyncio.run(app(folder))
    1

    Attributes:
        events: as in `FedClient`.
        background: as in `FedClient`.
        privacy: as in `FedClient`.
    """

    def __init__(self, client: FedClient) -> None:
        self._client, self._core = client, client._core
        self._transport: AioGrpcTransport | None = None
        self.events: Events = client.events
        self.background = AsyncBackground(client.background)
        self.privacy = AsyncPrivacy(client.privacy, self._core.syncs)

    @classmethod
    async def open(
        cls, state_dir: str | PathLike[str], coordinator: str, population: str, **options: Unpack[Options]
    ) -> Self:
        """As `FedClient.open`, with the same options."""
        opened: list[FedClient] = []
        try:
            await _off(lambda: opened.append(FedClient.open(state_dir, coordinator, population, **options)))
            await asyncio.sleep(0)  # raises a cancellation that came meanwhile
        except asyncio.CancelledError:
            for client in opened:
                await _off(client.close)
            raise
        return cls(opened[0])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """As `FedClient.close`, within the loop of a sync under way."""
        try:
            await _off(self._client.close)
        finally:
            if self._transport is not None and not self._core.store.database.forked:
                await self._transport.hang_up()

    async def record(self, item: str, time: datetime | None = None) -> None:
        """As `FedClient.record`."""
        await _off(lambda: self._client.record(item, time))

    async def record_many(self, items: Iterable[str], times: Iterable[datetime] | None = None) -> None:
        """As `FedClient.record_many`."""
        await _off(lambda: self._client.record_many(items, times))

    async def set_attribute(self, name: str, value: str | None) -> None:
        """As `FedClient.set_attribute`."""
        await _off(lambda: self._client.set_attribute(name, value))

    async def recommend(self, k: int = 10, where: Callable[[str], bool] | None = None) -> list[Recommendation]:
        """As `FedClient.recommend`; `where` is called in a thread."""
        return await _off(lambda: self._client.recommend(k, where))

    async def status(self) -> ClientStatus:
        """As `FedClient.status`."""
        return await _off(self._client.status)

    async def sync(self, timeout: float | None = None) -> Outcome:
        """As `FedClient.sync`. If it is cancelled, it gives its place in a round back and leaves the store whole."""
        core, limit = self._core, Timeout(timeout)

        def check() -> float:
            return min(core.check(), limit.check())

        async with _alone(core.syncs, limit):
            try:
                outcome = await self._drive(check)
            except GeneratorExit:  # the loop is gone
                raise
            except BaseException as error:
                await _ended(partial(core.syncs.failed, error))
                raise
            outcome = await _ended(partial(core.syncs.ended, outcome))
            await _ended(partial(core.personal.when_due, check))
            return limit.judge(outcome)

    async def personalise(self, steps: int = STEPS, timeout: float | None = None) -> Personalisation:
        """As `FedClient.personalise`, in a thread. If it is cancelled, the steps that are under way are completed."""
        number, limit = arguments.number("steps", steps), Timeout(timeout)
        async with _alone(self._core.syncs, limit):
            return await _off(lambda: self._core.personalise(number, limit))

    async def _drive(self, check: Check) -> Outcome:
        make = await _off(_aio_grpc_transport)
        session = await _off(self._core.session)
        with refusals(self._core.address.coordinator):
            async with make(self._core.address) as transport:
                self._transport = transport
                return await drive_async(session, transport, _off, check)


def _aio_grpc_transport() -> "type[AioGrpcTransport]":
    # Importing gRPC takes so long that it must not happen on the loop.
    from client_sdk.transport.grpc_transport import AioGrpcTransport

    return AioGrpcTransport


class AsyncBackground:
    """`FedClient.background` for asyncio."""

    def __init__(self, background: Background) -> None:
        self._background = background

    async def start(
        self,
        constraints: Constraints | None = None,
        *,
        device_state: Callable[[], DeviceState] | None = None,
        round_budget: timedelta | None = timedelta(minutes=10),
    ) -> None:
        """As `Background.start`."""
        start = self._background.start
        await _off(lambda: start(constraints, device_state=device_state, round_budget=round_budget))

    async def stop(self) -> None:
        """As `Background.stop`."""
        await _off(self._background.stop)


class AsyncPrivacy:
    """`FedClient.privacy` for asyncio."""

    def __init__(self, privacy: Privacy, syncs: Syncs) -> None:
        self._privacy, self._syncs = privacy, syncs

    async def report(self) -> PrivacyReport:
        """As `Privacy.report`."""
        return await _off(self._privacy.report)

    async def export_data(self) -> dict[str, Any]:
        """As `Privacy.export_data`."""
        return await _off(self._privacy.export_data)

    async def forget_attribute(self, name: str) -> None:
        """As `Privacy.forget_attribute`."""
        name = arguments.text("name", name)
        async with _alone(self._syncs):
            await _off(lambda: self._privacy.forget_attribute_alone(name))

    async def delete_data(self) -> None:
        """As `Privacy.delete_data`."""
        async with _alone(self._syncs):
            await _off(self._privacy.delete_data_alone)


@asynccontextmanager
async def _alone(syncs: Syncs, limit: Timeout = _ANY_TIME) -> AsyncIterator[None]:
    """`Syncs.alone` without a thread that waits, because the sync under way needs the threads of the pool."""
    while True:
        with syncs.alone(0) as alone:
            if alone:
                yield
                return
        if not limit.left():
            limit.judge(None)
        await asyncio.sleep(_PAUSE)


async def _ended(note: Callable[[], _Result]) -> _Result:
    """Notes the end of a sync in a thread, because callbacks of its events run there."""
    result = await _off(note)
    await asyncio.sleep(0)  # raises a cancellation that came meanwhile
    return result


async def _off(call: Callable[[], _Result]) -> _Result:
    """Makes a call in a thread to its end and returns the result; `drivers.Offload`.

    If the task is cancelled meanwhile, the call still ends first, and the cancellation is raised at the next wait.
    """
    task = asyncio.current_task()
    assert task is not None
    # Not a task, because a loop that ends cancels all tasks.
    work = asyncio.get_running_loop().run_in_executor(None, call)
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            task.uncancel()  # or asyncio.timeout would count it twice
            cancelled = True
    if cancelled:
        task.cancel()
    return work.result()
