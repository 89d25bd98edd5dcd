"""`/metrics` and `/healthz` over HTTP."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Self

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from coordinator.errors import CoordinatorError


class Scrape:
    """Serves metrics and health from a thread of its own.

    Args:
        address: `host:port`; port 0: any free port.
        registry: gives the metrics; None while the coordinator starts.
        health: gives "starting", "serving" or "draining".

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
                "/healthz": lambda: (200 if health() == "serving" else 503, "text/plain", f"{health()}\n".encode()),
            }

        host, _, port = address.rpartition(":")
        try:
            self._server = ThreadingHTTPServer((host.strip("[]"), int(port)), Handler)
        except (OSError, OverflowError) as error:
            raise CoordinatorError(f"cannot serve metrics on {address}: {error}") from error
        self.address = f"{host}:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, name="scrape", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


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
