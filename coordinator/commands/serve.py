"""`fedau2-coordinator serve`: serves devices and operators until a signal ends it."""

import argparse
import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from importlib import import_module
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from coordinator.commands import operators_address, process
from coordinator.commands.loading import load
from coordinator.commands.replica import Alone, Place, Replica
from coordinator.commands.served import Served, web
from coordinator.commands.settings import Settings
from coordinator.engine.coordinator import Coordinator
from coordinator.engine.unmasking import Unmasker
from coordinator.errors import CoordinatorError, StoppedError
from coordinator.grpc import unmasker_client
from coordinator.grpc.expiry import Expiry, ends
from coordinator.grpc.handlers import unobserved
from coordinator.grpc.server import Servers
from coordinator.grpc.tls import Tls
from coordinator.grpc.unmasker_client import ClientTls, UnmaskerClient
from coordinator.metrics.scrape import Scrape
from coordinator.store.objects import Objects
from fedau2 import core_lines, logs

if TYPE_CHECKING:
    from coordinator.telemetry.sending import Telemetry

_log = logging.getLogger(__name__)


def serve(args: argparse.Namespace) -> int:
    """Runs `serve`."""
    loaded = load(args)
    operators_address.expect_room(loaded.settings)
    if loaded.settings.web is not None:
        import_module("coordinator.web.server")  # so that a missing package is named before anything is served
    if loaded.settings.telemetry is not None:
        import_module("coordinator.telemetry.sending")
    if loaded.settings.objects is not None:
        Objects.open(loaded.settings.objects).probe()
    if args.check:
        print("\n".join(loaded.describe()))
        return 0
    logging.getLogger().setLevel(loaded.settings.log_level)
    logs.use(loaded.settings.log_format)
    for line in loaded.describe():
        _log.info("setting %s", line)
    with process.private_files(), core_lines.captured(), operators_address.held(loaded.settings):
        _log.info("at most %d open files, and so fewer connections", process.raise_file_limit())
        return asyncio.run(_serve_until_signal(loaded.settings))


async def _serve_until_signal(settings: Settings) -> int:
    signals, opened, roles = _signals(), list[Coordinator](), list[Alone | Replica]()
    by_token = None if settings.admin_tokens is None else settings.admin_tokens.bearers()
    tls, admin_tls, replica_tls = settings.tls, settings.admin_tls, settings.replica_tls
    unmasker_tls = settings.unmasker_tls

    def registry() -> CollectorRegistry | None:  # it has no registry while it starts
        metrics = opened[0].metrics if opened else roles[0].metrics if roles else None
        return None if metrics is None else metrics.registry

    telemetry = _telemetry(settings, registry)
    observe = unobserved if telemetry is None else telemetry.spans.call
    secured = (tls, admin_tls, settings.admin_roles, by_token, observe)
    if text := operators_address.warning(settings):
        _log.warning("%s", text)
    servers = await Servers.start(settings.listen, operators_address.served(settings), *secured)
    expiry = Expiry(ends((tls, admin_tls, replica_tls), unmasker_tls))
    process.on_hangup(expiry.look)
    async with AsyncExitStack() as last, AsyncExitStack() as stack:
        if telemetry is not None:  # the last to end, because a collector must not delay the next leader
            last.push_async_callback(asyncio.to_thread, telemetry.close)
        stack.push_async_callback(servers.stop)
        role = await _role(settings, replica_tls, servers, stack)
        if role.metrics is not None:
            role.metrics.show(expiry.gauges)
        roles.append(role)
        last.callback(role.release)
        if settings.metrics is not None:
            scrape = stack.enter_context(Scrape(settings.metrics, registry, lambda: servers.health))
            _log.info("metrics on %s", scrape.address)
        served = Served(settings, servers, await web(settings, tls, observe, servers, stack), stack)
        stack.callback(asyncio.create_task(expiry.watch()).cancel)
        if not role.leads:
            served.begin()
        coordinator = await _opened(settings, role, unmasker_tls, signals)
        if coordinator is None:
            return 0
        async with coordinator:
            opened.append(coordinator)
            coordinator.metrics.show(expiry.gauges)
            if telemetry is not None:
                coordinator.metrics.followers.append(telemetry.spans.round)
            await servers.serve(coordinator)
            served.begin()
            await role.settle(coordinator)
            await _first(signals.get(), coordinator.failed(), role.lost.wait())
            if coordinator.failure is None and not role.lost.is_set():
                _log.info("draining; a second signal ends at once")
                await _first(servers.drain(coordinator, settings.drain), signals.get())
            await role.expect_lease()
            await stack.aclose()  # while the coordinator can still answer
        if coordinator.failure is not None:
            raise CoordinatorError(f"stopped, because writing failed: {coordinator.failure}")
    return 0


def _telemetry(settings: Settings, registry: Callable[[], CollectorRegistry | None]) -> "Telemetry | None":
    """Begins to send traces and metrics; returns None if nobody asked for it."""
    if settings.telemetry is None:
        return None
    from coordinator.telemetry.sending import Telemetry  # here, because it needs the extra `otel`

    return Telemetry.to(settings.telemetry, registry)


async def _role(settings: Settings, tls: Tls | None, servers: Servers, stack: AsyncExitStack) -> Alone | Replica:
    return Alone(settings) if settings.replica is None else await Replica.start(settings, tls, servers, stack)


async def _opened(
    settings: Settings, role: Alone | Replica, unmasker_tls: ClientTls | None, signals: asyncio.Queue[int]
) -> Coordinator | None:
    """Opens the coordinator, which may have to stand by first; returns None if a signal came meanwhile."""
    stop = threading.Event()
    opening = asyncio.ensure_future(_open(settings, role, _unmasker(settings, unmasker_tls), stop))
    ended = asyncio.ensure_future(signals.get())
    await asyncio.wait({opening, ended}, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        ended.cancel()
        return await opening
    _log.info("a signal came while starting; stopping")
    stop.set()
    with suppress(StoppedError):
        await (await opening).close()
    return None


async def _open(
    settings: Settings, role: Alone | Replica, unmasker: Unmasker | None, stop: threading.Event
) -> Coordinator:
    place = await role.stand_by(stop)
    try:
        return await _open_on(settings, place, unmasker, stop)
    except CoordinatorError:
        await role.expect_lease()  # a leader that was stopped while it began finds the ledger in use
        raise


async def _open_on(settings: Settings, place: Place, unmasker: Unmasker | None, stop: threading.Event) -> Coordinator:
    return await Coordinator.open(
        place.folder,
        database=place.database,
        disk=place.disk,
        stop=stop,
        audit=settings.audit,
        upload_memory=settings.upload_memory,
        keep_checkpoints=settings.keep_checkpoints,
        unmasker=unmasker,
        evidence=settings.evidence(),
        limits=settings.limits,
        identity_calls=settings.identity_calls,
    )


def _unmasker(settings: Settings, tls: ClientTls | None) -> Unmasker | None:
    if settings.unmasker is None or settings.unmasker_key is None:
        return None
    identity = unmasker_client.identity(settings.unmasker_key)
    return Unmasker(identity, UnmaskerClient(settings.unmasker, tls))


def _signals() -> asyncio.Queue[int]:
    arrived, loop = asyncio.Queue[int](), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, arrived.put_nowait, number)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda arriving, frame: loop.call_soon_threadsafe(arrived.put_nowait, arriving))
    return arrived


async def _first(*calls: object) -> None:
    """Returns when one of the calls has ended, and cancels the others."""
    tasks = [asyncio.ensure_future(call) for call in calls]  # type: ignore[call-overload]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
