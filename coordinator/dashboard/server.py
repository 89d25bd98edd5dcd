"""The HTTP server of the dashboard."""

import asyncio
import logging
import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from coordinator import sockets
from coordinator.dashboard.app import Dashboard
from coordinator.dashboard.visitors import CERTIFIED, common_name
from coordinator.errors import CoordinatorError
from coordinator.grpc.tls import Tls
from fedau2.wire import addresses

MOST = 200
"""Most connections. A request over another one is answered with the HTTP status 503."""


class _Connection(H11Protocol):
    """A connection whose requests name the certificate that it has shown."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to answer."""
        super().connection_made(transport)
        app, name = self.app, common_name(transport.get_extra_info("ssl_object"))

        async def named(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, CERTIFIED: name}, receive, send)

        self.app = named


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to `serve`."""
        yield


async def serve(dashboard: Dashboard, listen: str, tls: Tls | None) -> None:
    """Serves the dashboard until SIGTERM or SIGINT comes, or its `stopping` is set.

    Args:
        dashboard: the pages.
        listen: `host:port`; port 0: any free port. The address is printed.
        tls: files of the address; None: plaintext.

    Raises:
        CoordinatorError: the address cannot be served on.
        SettingError: the certificate cannot be used.
    """
    config = _config(dashboard, tls)
    try:
        socket = sockets.bound(listen)
    except OSError as error:
        raise CoordinatorError(f"cannot serve the dashboard on {listen}: {error}") from error
    scheme, host = "http" if tls is None else "https", addresses.served(listen)[0]
    shown = f"[{host}]" if ":" in host else host
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, dashboard.stopping.set)
    server = _Server(config)
    serving = asyncio.create_task(server.serve([socket]))
    print(f"serving the dashboard on {scheme}://{shown}:{socket.getsockname()[1]}/", flush=True)
    await asyncio.wait({serving, asyncio.create_task(dashboard.stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    await dashboard.admin.close()


def _config(dashboard: Dashboard, tls: Tls | None) -> uvicorn.Config:
    config = uvicorn.Config(
        dashboard.app(),
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.ERROR,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST,
        timeout_graceful_shutdown=5,
        **_secured(tls),
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    return config


def _secured(tls: Tls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    tls.check()
    return {
        "ssl_certfile": tls.certificate,
        "ssl_keyfile": tls.key,
        "ssl_ca_certs": str(tls.client_authorities),
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
    }
