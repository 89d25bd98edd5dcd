"""`fedau2-coordinator dashboard`: serves a web page for operators until a signal ends it."""

import argparse
import asyncio
import logging
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import grpc

from coordinator.commands import admin, credentials, operators_address, process
from coordinator.errors import SettingError
from coordinator.grpc import operators
from coordinator.grpc.connections import Connections
from coordinator.grpc.tls import Tls
from fedau2.wire import addresses
from fedau2.wire.errors import AddressError

_log = logging.getLogger(__name__)

ADDRESS = "127.0.0.1:8646"

MOST_OF_ADDRESS = 100
"""Connections that one network address may hold."""


def add_dashboard(parser: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    parser.set_defaults(run=_dashboard)
    add = parser.add_argument
    add("--listen", default=ADDRESS, metavar="HOST:PORT", help="address of the page (default: %(default)s)")
    add("--tls-certificate", type=Path, metavar="FILE", help="PEM certificate chain of the page's address")
    add("--tls-key", type=Path, metavar="FILE", help="PEM key of that certificate")
    add(
        "--tls-client-ca",
        type=Path,
        metavar="FILE",
        help="PEM authorities that sign visitors' certificates, which are then required",
    )
    add("--roles", type=Path, metavar="FILE", help="TOML file of visitors' roles by their certificates' names")
    add(
        "--metrics",
        metavar="HOST:PORT",
        help="metrics address of the coordinator (default: bytes and rejections are not shown)",
    )
    parser.add_argument(
        "--buttons",
        action="store_true",
        help="on loopback, let every account of this machine pause, start again and stop tasks (default: look at them)",
    )
    admin.add_address(parser)


def _dashboard(args: argparse.Namespace) -> int:
    tls, metrics = _tls(args), None if args.metrics is None else _metrics(args.metrics)
    target, options = addresses.channel(operators_address.called(args))
    if args.credentials is not None:
        credentials.read(args.credentials)  # so that the command fails, and not the page

    def connect() -> grpc.aio.Channel:
        if args.credentials is None:
            return grpc.aio.insecure_channel(target, options)
        return grpc.aio.secure_channel(target, credentials.read(args.credentials), options)

    asyncio.run(_serve(args, tls, metrics, connect))
    return 0


async def _serve(
    args: argparse.Namespace, tls: Tls | None, metrics: str | None, connect: Callable[[], grpc.aio.Channel]
) -> None:
    from coordinator.dashboard import counters  # here, because they need the extra `web`
    from coordinator.dashboard.admin import Admin
    from coordinator.dashboard.app import Dashboard
    from coordinator.dashboard.server import DashboardServer
    from coordinator.dashboard.visitors import Visitors

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    calls = Admin(connect, partial(admin.explained, address=operators_address.called(args)))
    read = None if metrics is None else partial(counters.read, metrics)
    process.raise_file_limit()
    visitors = Visitors(args.roles, operators.Role.ADMIN if args.buttons else operators.Role.VIEWER)
    server = await DashboardServer.open(Dashboard(calls, visitors, read, stopping), args.listen, tls)
    print(f"serving the dashboard on {'http' if tls is None else 'https'}://{server.address}/", flush=True)
    watched = asyncio.create_task(_connections(server.address).watch())
    await stopping.wait()
    watched.cancel()
    await server.stop()
    await calls.close()


def _connections(address: str) -> Connections:
    """Returns what ends the connections of a network address that has too many, also those that say nothing."""
    return Connections({addresses.served(address)[1]}, MOST_OF_ADDRESS, _turned_away)


def _turned_away(address: str, count: int) -> None:
    _log.warning("%s has more than %d connections: %d were ended", address, MOST_OF_ADDRESS, count)


def _tls(args: argparse.Namespace) -> Tls | None:
    """Returns the files of the page's address; None: it is on loopback, in plaintext.

    Raises:
        SettingError: they cannot be used, or some are missing.
    """
    try:
        addresses.served(args.listen)
    except AddressError as error:
        raise SettingError(f"--listen: {error}") from error
    files = (args.tls_certificate, args.tls_key, args.tls_client_ca, args.roles)
    if not any(files) and addresses.is_loopback(args.listen):
        return None
    if not all(files):
        raise SettingError(
            f"{args.listen}: whoever comes over the network must show a certificate and have a role. So "
            "--tls-certificate, --tls-key, --tls-client-ca and --roles go together, and an address other than loopback "
            "needs them; `fedau2-coordinator certificates` makes the files"
        )
    operators.read(args.roles)
    tls = Tls(args.tls_certificate, args.tls_key, args.tls_client_ca)
    tls.check()
    return tls


def _metrics(address: str) -> str:
    """Returns the address of the metrics.

    Raises:
        SettingError: it is not one of this machine, where alone a coordinator serves them.
    """
    try:
        address = addresses.check_served(address)
    except AddressError as error:
        raise SettingError(f"--metrics: {error}") from error
    if not addresses.is_loopback(address):
        raise SettingError(f"--metrics is {address}: they travel in plaintext, on loopback only; use a tunnel")
    return address
