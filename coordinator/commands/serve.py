"""`fedau2-coordinator serve`: serves devices and operators until a signal ends it."""

import argparse
import asyncio
import logging
import signal
import threading
from contextlib import AsyncExitStack, suppress
from importlib import import_module
from pathlib import Path

from coordinator.commands import process
from coordinator.commands.loading import add_flags, load
from coordinator.commands.replica import Alone, Replica
from coordinator.commands.settings import Settings
from coordinator.engine.coordinator import Coordinator
from coordinator.engine.unmasking import Unmasker
from coordinator.errors import CoordinatorError, StoppedError
from coordinator.grpc import unmasker_client
from coordinator.grpc.connections import Connections
from coordinator.grpc.server import Servers
from coordinator.grpc.unmasker_client import UnmaskerClient
from coordinator.metrics.scrape import Scrape
from fedau2 import logs
from fedau2.wire import addresses

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
    if args.check:
        print("\n".join(loaded.describe()))
        return 0
    logging.getLogger().setLevel(loaded.settings.log_level)
    logs.use(loaded.settings.log_format)
    for line in loaded.describe():
        _log.info("setting %s", line)
    with process.private_files():
        _log.info("at most %d open files, and so fewer connections", process.raise_file_limit())
        return asyncio.run(_serve_until_signal(loaded.settings))


async def _serve_until_signal(settings: Settings) -> int:
    signals, opened = _signals(), list[Coordinator]()
    by_token = None if settings.admin_tokens is None else settings.admin_tokens.bearers()
    secured = (settings.tls, settings.admin_tls, settings.admin_roles, by_token)
    servers = await Servers.start(settings.listen, settings.admin, *secured)
    async with AsyncExitStack() as last, AsyncExitStack() as stack:
        stack.push_async_callback(servers.stop)
        role = await _role(settings, servers, stack)
        last.callback(role.release)
        if settings.metrics is not None:
            registry = lambda: opened[0].metrics.registry if opened else role.registry  # noqa: E731 - while starting
            scrape = stack.enter_context(Scrape(settings.metrics, registry, lambda: servers.health))
            _log.info("metrics on %s", scrape.address)
        service = _Service(settings, servers, await _web(settings, servers, stack), stack)
        if not role.leads:
            service.begin()
        coordinator = await _opened(settings, role, signals)
        if coordinator is None:
            return 0
        async with coordinator:
            opened.append(coordinator)
            await servers.serve(coordinator)
            service.begin()
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


async def _role(settings: Settings, servers: Servers, stack: AsyncExitStack) -> Alone | Replica:
    return Alone(settings) if settings.replica is None else await Replica.start(settings, servers, stack)


class _Service:
    """The addresses for devices and operators, which are announced once."""

    def __init__(self, settings: Settings, servers: Servers, web: str | None, stack: AsyncExitStack) -> None:
        self._settings, self._servers, self._web, self._stack = settings, servers, web, stack
        self._begun = False

    def begin(self) -> None:
        """Says where callers are served, and limits their connections."""
        if self._begun:
            return
        self._begun = True
        served = {"devices": self._servers.devices, "admin": self._servers.admin, "web": self._web}
        for name, address in served.items():
            if address is not None:
                print(f"serving {name} on {address}", flush=True)
        watching = asyncio.create_task(self._connections().watch())
        self._stack.callback(watching.cancel)

    def _connections(self) -> Connections:
        served = [address for address in (self._servers.devices, self._web) if address]
        ports = {addresses.served(address)[1] for address in served if addresses.unix_path(address) is None}
        return Connections(ports, self._settings.address_connections, self._turned_away)

    def _turned_away(self, address: str, count: int) -> None:
        if limited := self._servers.door.limited():
            limited.turned_away("connections", address, count)


async def _web(settings: Settings, servers: Servers, stack: AsyncExitStack) -> str | None:
    """Serves devices in browsers until the stack is closed, and returns the address; None: nobody asked for it."""
    if settings.web is None:
        return None
    from coordinator.web.server import WebServer  # here, because it needs the extra `web`

    server = await WebServer.start(settings.web, servers.answers, settings.web_origin, settings.tls)
    stack.push_async_callback(server.stop)
    return server.address


async def _opened(settings: Settings, role: Alone | Replica, signals: asyncio.Queue[int]) -> Coordinator | None:
    """Opens the coordinator, which may have to stand by first; returns None if a signal came meanwhile."""
    stop = threading.Event()
    opening = asyncio.ensure_future(_open(settings, role, stop))
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


async def _open(settings: Settings, role: Alone | Replica, stop: threading.Event) -> Coordinator:
    folder, database = await role.stand_by(stop)
    try:
        return await _open_on(settings, folder, database, stop)
    except CoordinatorError:
        await role.expect_lease()  # a leader that was stopped while it began finds the ledger in use
        raise


async def _open_on(settings: Settings, folder: Path, database: str | None, stop: threading.Event) -> Coordinator:
    return await Coordinator.open(
        folder,
        database=database,
        stop=stop,
        audit=settings.audit,
        upload_memory=settings.upload_memory,
        keep_checkpoints=settings.keep_checkpoints,
        unmasker=_unmasker(settings),
        evidence=settings.evidence(),
        limits=settings.limits,
    )


def _unmasker(settings: Settings) -> Unmasker | None:
    if settings.unmasker is None or settings.unmasker_key is None:
        return None
    identity = unmasker_client.identity(settings.unmasker_key)
    return Unmasker(identity, UnmaskerClient(settings.unmasker, settings.unmasker_tls))


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
