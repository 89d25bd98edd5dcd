"""`/metrics` and `/healthz` over HTTP."""

import logging
import socket
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Any, Self

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from coordinator import sockets
from coordinator.errors import CoordinatorError
from fedau2.logs import Seldom
from fedau2.wire import addresses

_log = logging.getLogger(__name__)

_READY = {"serving": 200, "standing by": 200}
"""Statuses of `/healthz` while callers are answered."""


class Scrape:
    """Serves metrics and health from a thread of its own.

    Args:
        address: `host:port` or `unix:PATH`; port 0: any free port.
        registry: gives the metrics; None while the coordinator starts.
        health: gives "starting", "serving", "standing by" or "draining".

    Attributes:
        address: the address with the actual port.

    Raises:
        CoordinatorError: the address cannot be served on.
    """

    def __init__(
        self, address: str, registry: Callable[[], CollectorRegistry | None], health: Callable[[], str]
    ) -> None:
        class Handler(_Handler):
            answers = {  # noqa: RUF012 - made anew for each server
                "/metrics": lambda: (200, CONTENT_TYPE_LATEST, _scraped(registry())),
                "/healthz": lambda: (_READY.get(health(), 503), "text/plain", f"{health()}\n".encode()),
            }

        self._path = addresses.unix_path(address)
        try:
            self._server = _server(address, self._path, Handler)
        except OSError as error:
            raise CoordinatorError(f"cannot serve metrics on {address}: {error}") from error
        self.address = address
        if self._path is None:
            self.address = f"{address.rpartition(':')[0]}:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, name="scrape", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        if self._path is not None:
            Path(self._path).unlink(missing_ok=True)
        self._thread.join()


def _server(address: str, path: str | None, handler: type[BaseHTTPRequestHandler]) -> ThreadingTCPServer:
    if path is not None:
        sockets.take(path)
        return _Server(socket.AF_UNIX, path, handler)
    return _Server(*sockets.resolved(address), handler)


class _Server(ThreadingTCPServer):
    """An HTTP server on any family of addresses. `HTTPServer` knows IPv4 only, and asks for the name of its host."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, family: int, address: Any, handler: type[BaseHTTPRequestHandler]) -> None:  # noqa: ANN401
        self.address_family, self.broken = family, Seldom()
        super().__init__(address, handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Logs a line once a minute, where `socketserver` would print a traceback. Mostly the caller has gone away."""
        self.broken.say(_log, "a request for metrics broke off: %s", type(sys.exception()).__name__)


class _Handler(BaseHTTPRequestHandler):
    answers: dict[str, Callable[[], tuple[int, str, bytes]]]

    def do_GET(self) -> None:
        answer = self.answers.get(self.path)
        code, kind, body = answer() if answer else (404, "text/plain", b"not found; there are /metrics and /healthz\n")
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        """Logs nothing, because scrapes are many."""


def _scraped(registry: CollectorRegistry | None) -> bytes:
    return b"" if registry is None else generate_latest(registry)
