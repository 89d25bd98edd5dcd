"""`fedau2-coordinator serve`."""

import argparse
import asyncio
import logging
import signal
import threading
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from coordinator.commands import settings
from coordinator.commands.settings import Settings
from coordinator.engine.coordinator import Coordinator
from coordinator.errors import CoordinatorError, StoppedError
from coordinator.grpc.server import Servers, Tls
from coordinator.metrics.scrape import Scrape

_log = logging.getLogger(__name__)


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    parser.set_defaults(run=_serve)
    settings.add_flags(parser)
    parser.add_argument("--check", action="store_true", help="print and check the settings, serve nothing")


def _serve(args: argparse.Namespace) -> int:
    loaded = settings.load(args)
    if args.check:
        print("\n".join(loaded.describe()))
        return 0
    logging.getLogger().setLevel(loaded.settings.log_level)
    for line in loaded.describe():
        _log.info("setting %s", line)
    return asyncio.run(_serve_until_told(loaded.settings))


async def _serve_until_told(told: Settings) -> int:
    assert told.state is not None  # checked
    tls = Tls(told.tls_certificate, told.tls_key) if told.tls_certificate and told.tls_key else None
    signals, state, opened = _signals(), told.state, list[Coordinator]()
    servers = await Servers.start(told.listen, told.admin, tls)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(servers.stop)
        if told.metrics is not None:
            registry = lambda: opened[0].metrics.registry if opened else None  # noqa: E731 - made while starting
            scrape = stack.enter_context(Scrape(told.metrics, registry, lambda: servers.health))
            _log.info("metrics on %s", scrape.address)
        coordinator = await _opened(state, told.database, signals, told.audit)
        if coordinator is None:
            return 0
        async with coordinator:
            opened.append(coordinator)
            await servers.serve(coordinator)
            print(f"serving devices on {servers.devices}", flush=True)
            print(f"serving admin on {servers.admin}", flush=True)
            await _first(signals.get(), coordinator.failed())
            if coordinator.failure is None:
                _log.info("draining; a second signal ends at once")
                await _first(servers.drain(coordinator, told.drain), signals.get())
            await servers.stop()
        if coordinator.failure is not None:
            raise CoordinatorError(f"stopped, because writing failed: {coordinator.failure}")
    return 0


async def _opened(
    state: Path, database: str | None, signals: asyncio.Queue[int], audit: Path | None = None
) -> Coordinator | None:
    """The coordinator, None where a signal came while it recovered."""
    stop = threading.Event()
    opening = asyncio.ensure_future(Coordinator.open(state, database=database, stop=stop, audit=audit))
    ended = asyncio.ensure_future(signals.get())
    await asyncio.wait({opening, ended}, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        ended.cancel()
        return await opening
    _log.info("told to stop while starting")
    stop.set()
    with suppress(StoppedError):
        await (await opening).close()
    return None


def _signals() -> asyncio.Queue[int]:
    arrived = asyncio.Queue[int]()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, arrived.put_nowait, number)
    return arrived


async def _first(*calls: object) -> None:
    """Returns when one has ended, and cancels the others."""
    tasks = [asyncio.ensure_future(call) for call in calls]  # type: ignore[call-overload]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
