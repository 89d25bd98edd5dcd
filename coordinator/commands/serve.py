"""`fedau2-coordinator serve`: serves devices and operators until a signal ends it."""

import argparse
import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from coordinator.commands import process
from coordinator.commands.loading import add_flags, load
from coordinator.commands.settings import Settings
from coordinator.engine.coordinator import Coordinator
from coordinator.engine.unmasking import Unmasker
from coordinator.errors import CoordinatorError, StoppedError
from coordinator.grpc import unmasker_client
from coordinator.grpc.connections import Connections
from coordinator.grpc.expiry import Expiry, ends
from coordinator.grpc.handlers import Observe, unobserved
from coordinator.grpc.server import Servers
from coordinator.grpc.tls import Tls
from coordinator.grpc.unmasker_client import ClientTls, UnmaskerClient
from coordinator.metrics.scrape import Scrape
from fedau2 import core_lines, logs
from fedau2.wire import addresses

if TYPE_CHECKING:
    from coordinator.telemetry.sending import Telemetry

_log = logging.getLogger(__name__)


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    parser.set_defaults(run=_serve)
    add_flags(parser)
    parser.add_argument("--check", action="store_true", help="print and check the settings, and serve nothing")


def _serve(args: argparse.Namespace) -> int:
    loaded = load(args)
    if loaded.settings.web is not None:
        import_module("coordinator.web.server")  # so that a missing package is named before anything is served
    if loaded.settings.telemetry is not None:
        import_module("coordinator.telemetry.sending")
    if args.check:
        print("\n".join(loaded.describe()))
        return 0
    logging.getLogger().setLevel(loaded.settings.log_level)
    logs.use(loaded.settings.log_format)
    for line in loaded.describe():
        _log.info("setting %s", line)
    with process.private_files(), core_lines.captured():
        _log.info("at most %d open files, and so fewer connections", process.raise_file_limit())
        return asyncio.run(_serve_until_signal(loaded.settings))


async def _serve_until_signal(settings: Settings) -> int:
    signals, opened = _signals(), list[Coordinator]()
    by_token = None if settings.admin_tokens is None else settings.admin_tokens.bearers()
    tls, admin_tls, unmasker_tls = settings.tls, settings.admin_tls, settings.unmasker_tls
    registry = lambda: opened[0].metrics.registry if opened else None  # noqa: E731 - made while starting
    telemetry = _telemetry(settings, registry)
    observe = unobserved if telemetry is None else telemetry.spans.call
    secured = (tls, admin_tls, settings.admin_roles, by_token, observe)
    servers = await Servers.start(settings.listen, settings.admin, *secured)
    expiry = Expiry(ends(tls, admin_tls, unmasker_tls))
    process.on_hangup(expiry.look)
    async with AsyncExitStack() as stack:
        if telemetry is not None:
            stack.push_async_callback(asyncio.to_thread, telemetry.close)
        stack.push_async_callback(servers.stop)
        if settings.metrics is not None:
            scrape = stack.enter_context(Scrape(settings.metrics, registry, lambda: servers.health))
            _log.info("metrics on %s", scrape.address)
        web = await _web(settings, tls, observe, servers, stack)
        coordinator = await _opened(settings, _unmasker(settings, unmasker_tls), signals)
        if coordinator is None:
            return 0
        async with coordinator:
            opened.append(coordinator)
            coordinator.metrics.show(expiry.gauges)
            if telemetry is not None:
                coordinator.metrics.followers.append(telemetry.spans.round)
            stack.callback(asyncio.create_task(expiry.watch()).cancel)
            await servers.serve(coordinator)
            print(f"serving devices on {servers.devices}", flush=True)
            print(f"serving admin on {servers.admin}", flush=True)
            if web is not None:
                print(f"serving web on {web}", flush=True)
            connections = _connections(settings, servers.devices, web, coordinator)
            stack.callback(asyncio.create_task(connections.watch()).cancel)
            await _first(signals.get(), coordinator.failed())
            if coordinator.failure is None:
                _log.info("draining; a second signal ends at once")
                await _first(servers.drain(coordinator, settings.drain), signals.get())
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


async def _web(
    settings: Settings, tls: Tls | None, observe: Observe, servers: Servers, stack: AsyncExitStack
) -> str | None:
    """Serves devices in browsers until the stack is closed, and returns the address; None: nobody asked for it."""
    if settings.web is None:
        return None
    from coordinator.web.server import WebServer  # here, because it needs the extra `web`

    server = await WebServer.start(settings.web, servers.answers, settings.web_origin, tls, observe=observe)
    stack.push_async_callback(server.stop)
    return server.address


def _connections(settings: Settings, devices: str, web: str | None, coordinator: Coordinator) -> Connections:
    served = [address for address in (devices, web) if address and addresses.unix_path(address) is None]
    ports = {addresses.served(address)[1] for address in served}
    turned_away = partial(coordinator.devices.limited.turned_away, "connections")
    return Connections(ports, settings.address_connections, turned_away)


async def _opened(settings: Settings, unmasker: Unmasker | None, signals: asyncio.Queue[int]) -> Coordinator | None:
    """Opens the coordinator; returns None if a signal came while it recovered."""
    assert settings.state is not None  # checked
    stop = threading.Event()
    opening = asyncio.ensure_future(
        Coordinator.open(
            settings.state,
            database=settings.database,
            stop=stop,
            audit=settings.audit,
            upload_memory=settings.upload_memory,
            keep_checkpoints=settings.keep_checkpoints,
            unmasker=unmasker,
            evidence=settings.evidence(),
            limits=settings.limits,
        )
    )
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
