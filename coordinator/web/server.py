"""The coordinator over HTTP: devices in browsers on an address of their own."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import uvicorn

from coordinator import sockets
from coordinator.errors import CoordinatorError
from coordinator.grpc.handlers import Answers, Observe, unobserved
from coordinator.grpc.server import GRACE
from coordinator.grpc.tls import Tls
from coordinator.web.calls import Calls
from coordinator.web.connections import Connection
from coordinator.web.full import Full
from coordinator.web.gate import open_to
from fedau2.wire import addresses, methods

MOST = 1000
"""Most connections. A request over another one is answered with the HTTP status 503."""


class WebServer:
    """Answers the methods of DeviceService over the Connect protocol, and nothing else.

    Args:
        config: of the server.
        address: `host:port` or `unix:PATH`.
        clock: in seconds, never going back; ends connections that keep the server waiting.

    Attributes:
        address: the same address with the actual port.
    """

    def __init__(self, config: uvicorn.Config, address: str, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._server = uvicorn.Server(config)
        config.callback_notify = self._cut_off
        self._path = addresses.unix_path(address)
        try:
            self._socket = sockets.bound(address)
        except OSError as error:
            raise CoordinatorError(f"cannot serve the web on {address}: {error}") from error
        self.address = address
        if self._path is None:
            self.address = f"{address.rpartition(':')[0]}:{self._socket.getsockname()[1]}"

    @classmethod
    async def start(
        cls,
        listen: str,
        answers: Answers,
        origins: tuple[str, ...] = (),
        tls: Tls | None = None,
        clock: Callable[[], float] = time.monotonic,
        observe: Observe = unobserved,
    ) -> Self:
        """Begins to answer.

        Args:
            listen: `host:port` or `unix:PATH`; port 0: any free port.
            answers: gives the object that answers devices, or raises an error as long as it cannot.
            origins: of the pages that may make calls in browsers; ("*",): all pages.
            tls: the files for TLS; None: plaintext.
            clock: see the class.
            observe: surrounds each call.

        Raises:
            CoordinatorError: the address cannot be served on, or the certificate cannot be used.
        """
        app = open_to(origins, Calls(methods.DEVICE, answers, observe))
        config = configured(app, Connection, MOST, tls, timeout_keep_alive=300)
        server = cls(config, listen, clock)
        await server._begin(config)
        return server

    async def _begin(self, config: uvicorn.Config) -> None:
        asyncio.get_running_loop().set_exception_handler(Full())
        # As `uvicorn.Server.serve`, without its handlers of signals: the coordinator has its own.
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup([self._socket])
        self._running = asyncio.create_task(self._server.main_loop())

    async def _cut_off(self) -> None:
        now = self._clock()
        for connection in self._connections():
            if connection.overdue(now):
                connection.transport.abort()

    def _connections(self) -> list[Any]:
        return list(self._server.server_state.connections)

    async def stop(self) -> None:
        """Takes no more calls, and gives those under way `GRACE` seconds to end."""
        self._server.should_exit = True
        await self._running
        await self._server.shutdown([self._socket])
        for connection in self._connections():
            connection.transport.abort()
        if self._path is not None:
            Path(self._path).unlink(missing_ok=True)


def configured(app: Any, http: type[Connection], most: int, tls: Tls | None, **more: Any) -> uvicorn.Config:  # noqa: ANN401
    """Makes the configuration of a server, which logs no calls and names no software.

    Args:
        app: an ASGI application.
        http: class of its connections.
        most: connections; a call over another one is answered with the HTTP status 503.
        tls: files of the address; None: plaintext.
        more: further settings of uvicorn.

    Raises:
        SettingError: the certificate cannot be used.
    """
    config = uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level=logging.ERROR,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=most,
        timeout_graceful_shutdown=int(GRACE),
        timeout_notify=0,
        **more,
    )
    config.load()
    config.ssl = None if tls is None else tls.context()
    return config
