"""The SDK for apps on asyncio: `AsyncFedClient`, the blocking client with coroutines in place of calls that wait.

A round is the same generator as in the blocking client (`client_sdk.protocol.session`), driven on the loop. Calls to
the coordinator are coroutines. Computations and writes to the disk run in a thread, one after the other.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

from client_sdk import arguments, interactions
from client_sdk.client import FedClient
from client_sdk.engines import Chosen
from client_sdk.identity.unmaskers import Unmasker, awaited
from client_sdk.interactions import VIEW, Kind
from client_sdk.offload import alone as _alone
from client_sdk.offload import ended as _ended
from client_sdk.personalisation.outcome import Personalisation
from client_sdk.personalisation.personaliser import STEPS
from client_sdk.privacy import Privacy
from client_sdk.protocol.drivers import Check, drive_async
from client_sdk.protocol.floors import SumFloors
from client_sdk.protocol.wishes import Outcome
from client_sdk.recommending import Reason, Recommendation
from client_sdk.reporting.report import PrivacyReport
from client_sdk.scheduling.background import Background
from client_sdk.scheduling.schedule import Constraints, DeviceState
from client_sdk.scheduling.syncing import Syncs, refusals
from client_sdk.scheduling.timeout import Timeout
from client_sdk.status import ClientStatus
from client_sdk.store.encryption import Key
from client_sdk.store.personal import PersonalData
from client_sdk.subscriptions import Events
from client_sdk.transport.credentials import Credentials
from client_sdk.transport.offloading import awaited_on
from client_sdk.transport.offloading import to_its_end as _off

if TYPE_CHECKING:
    from client_sdk.identity.enrolling import Enrolment
    from client_sdk.identity.evidence import Evidence
    from client_sdk.transport.grpc_transport import AioGrpcTransport


class Options(TypedDict, total=False):
    """The options of `FedClient.open`, which describes them."""

    engine: Chosen
    root_certificates: bytes | None
    insecure: bool
    credentials: Credentials | None
    key: Key | None
    starter: str | PathLike[str] | None
    max_interactions: int
    publishers: Iterable[bytes] | None
    unmaskers: Iterable[Unmasker]
    enrolment: "tuple[str, Evidence] | None"
    require_secure_sums: bool | SumFloors
    require_release: bool
    max_model_age: timedelta | None
    personal_steps: int | None
    admission: "Evidence"


class ListOptions(TypedDict, total=False):
    """The options of `FedClient.recommend`, which describes them."""

    candidates: Iterable[str] | None
    seen: bool
    boost: Callable[[str], float] | None
    diversity: float
    tags: Mapping[str, Collection[str]] | None


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
        if isinstance(credentials := options.get("credentials"), Credentials):
            options["credentials"] = credentials.awaited_on(asyncio.get_running_loop())
        if callable(admission := options.get("admission", b"")):
            options["admission"] = awaited_on(admission, asyncio.get_running_loop())
        options["enrolment"] = awaited(options.get("enrolment"), asyncio.get_running_loop())
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

    async def record(
        self,
        item: str,
        time: datetime | None = None,
        *,
        kind: Kind = VIEW,
        weight: float = 1.0,
        value: float | None = None,
    ) -> None:
        """As `FedClient.record`."""
        await _off(lambda: self._client.record(item, time, kind=kind, weight=weight, value=value))

    async def record_many(
        self,
        items: Iterable[str],
        times: Iterable[datetime] | None = None,
        *,
        kinds: Iterable[Kind] | None = None,
        weights: Iterable[float] | None = None,
        values: Iterable[float | None] | None = None,
    ) -> None:
        """As `FedClient.record_many`."""
        await _off(lambda: self._client.record_many(items, times, kinds=kinds, weights=weights, values=values))

    async def set_attribute(self, name: str, value: str | None) -> None:
        """As `FedClient.set_attribute`."""
        await _off(lambda: self._client.set_attribute(name, value))

    async def forget(self, item: str, time: datetime | None = None) -> int:
        """As `FedClient.forget`."""
        named = interactions.named(item, time)
        async with _alone(self._core.syncs):
            return await _off(lambda: PersonalData(self._core.store).forget_item(*named))

    async def recommend(
        self, k: int = 10, where: Callable[[str], bool] | None = None, **options: Unpack[ListOptions]
    ) -> list[Recommendation]:
        """As `FedClient.recommend`, with the same options; `where` and `boost` are called in a thread."""
        return await _off(lambda: self._client.recommend(k, where, **options))

    async def score(self, items: str | Iterable[str]) -> dict[str, float]:
        """As `FedClient.score`."""
        return await _off(lambda: self._client.score(items))

    async def explain(self, item: str, k: int = 3) -> list[Reason]:
        """As `FedClient.explain`."""
        return await _off(lambda: self._client.explain(item, k))

    async def exclude(self, items: str | Iterable[str]) -> None:
        """As `FedClient.exclude`."""
        await _off(lambda: self._client.exclude(items))

    async def include(self, items: str | Iterable[str]) -> None:
        """As `FedClient.include`."""
        await _off(lambda: self._client.include(items))

    async def excluded(self) -> tuple[str, ...]:
        """As `FedClient.excluded`."""
        return await _off(self._client.excluded)

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

    async def enrol(
        self, kind: str = "open", evidence: "Evidence" = b"", timeout: float = 60.0
    ) -> "tuple[Enrolment, ...]":
        """As `FedClient.enrol`, in a thread; evidence may be a coroutine function. A cancelled one ends first."""
        limit = Timeout(timeout)
        if callable(evidence):
            evidence = awaited_on(evidence, asyncio.get_running_loop())
        async with _alone(self._core.syncs, limit):
            return await _off(lambda: self._core.enrol(kind, evidence, limit))

    async def _drive(self, check: Check) -> Outcome:
        make = await _off(_aio_grpc_transport)
        session = await _off(self._core.session)
        with refusals(self._core.address.coordinator):
            async with make(self._core.address) as transport:
                self._transport = transport
                return await drive_async(session, transport, _off, check, self._core.enrol_by_itself, self._core.prove)


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
