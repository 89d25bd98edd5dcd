"""The HTTP server of the dashboard."""

import asyncio
import time
from typing import Self

from starlette.types import Receive, Scope, Send

from coordinator.dashboard.app import Dashboard
from coordinator.dashboard.visitors import CERTIFIED, common_name
from coordinator.grpc.tls import Tls
from coordinator.web.connections import Connection
from coordinator.web.server import WebServer, configured

MOST = 200
"""Most connections. A request over another one is answered with the HTTP status 503."""


class _Connection(Connection):
    """A connection whose requests name the certificate that it has shown."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to answer."""
        super().connection_made(transport)
        app, name = self.app, common_name(transport.get_extra_info("ssl_object"))

        async def named(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, CERTIFIED: name}, receive, send)

        self.app = named


class DashboardServer(WebServer):
    """Serves the pages of a dashboard. `stop` ends it, after the dashboard's `stopping` is set."""

    @classmethod
    async def open(cls, dashboard: Dashboard, listen: str, tls: Tls | None = None) -> Self:
        """Begins to serve.

        Args:
            dashboard: the pages.
            listen: `host:port`; port 0: any free port.
            tls: files of the address; None: plaintext.

        Raises:
            CoordinatorError: the address cannot be served on.
            SettingError: the certificate cannot be used.
        """
        config = configured(dashboard.app(), _Connection, MOST, tls)
        server = cls(config, listen, time.monotonic)
        await server._begin(config)
        return server
