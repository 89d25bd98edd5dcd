"""The addresses on which `serve` answers: they are announced once, and their connections are limited."""

import asyncio
import logging
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from coordinator.commands.settings import Settings
from coordinator.grpc.connections import Connections
from coordinator.grpc.handlers import Observe
from coordinator.grpc.server import Servers
from coordinator.grpc.tls import Tls
from fedau2.wire import addresses

_log = logging.getLogger(__name__)


class Served:
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
                _announce(f"serving {name} on {address}")
        watching = asyncio.create_task(self._connections().watch())
        self._stack.callback(watching.cancel)

    def _connections(self) -> Connections:
        served = [address for address in (self._servers.devices, self._web) if address]
        ports = {addresses.served(address)[1] for address in served if addresses.unix_path(address) is None}
        return Connections(ports, self._settings.address_connections, self._turned_away)

    def _turned_away(self, address: str, count: int) -> None:
        if limited := self._servers.door.limited():
            limited.turned_away("connections", address, count)


def _announce(line: str) -> None:
    """Prints a line. If that fails, for example because the disk of the output is full, nothing more is printed."""
    try:
        print(line, flush=True)
    except OSError as error:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - what could not be written would fail again at the end
        _log.warning("the addresses cannot be printed, and are served all the same: %s", error)


async def web(
    settings: Settings, tls: Tls | None, observe: Observe, servers: Servers, stack: AsyncExitStack
) -> str | None:
    """Serves devices in browsers until the stack is closed, and returns the address; None: nobody asked for it."""
    if settings.web is None:
        return None
    from coordinator.web.server import WebServer  # here, because it needs the extra `web`

    server = await WebServer.start(settings.web, servers.answers, settings.web_origin, tls, observe=observe)
    stack.push_async_callback(server.stop)
    return server.address
