"""Traces and metrics go to the collector that is named, and nowhere without one."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from coordinator.cli import main
from tests.coordinator import conftest as tools

HERE = "http://127.0.0.1:4318"


@pytest.fixture
def collector():
    """A collector, and the requests that it has had: their paths and bodies."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format, *values):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", requests
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def dripping():
    """A collector that answers one byte after the other, without end."""
    over, listener = threading.Event(), socket.create_server(("127.0.0.1", 0))

    def drip(connection):
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not over.wait(0.5):
                connection.sendall(b"x")

    def accept():
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    over.set()
    listener.close()


def life(folder, *options):
    """A coordinator that answers a call and ends; returns its log."""
    process = tools.Process(folder, "--log-level", "INFO", *options)

    async def call():
        async with tools.connect(process.devices, process.admin) as lab:
            await lab.check_in()

    asyncio.run(call())
    code, log = process.end(process.child.terminate)
    assert code == 0, log
    return log


def test_a_collector_gets_traces_and_metrics(tmp_path, collector):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")
    url, requests = collector
    assert f"traces and metrics go to {url}" in life(tmp_path / "state", "--telemetry", url)
    bodies = {path: b"".join(body for other, body in requests if other == path) for path, _ in requests}
    assert bodies.keys() == {"/v1/traces", "/v1/metrics"}
    assert b"fedau2.v1.DeviceService/CheckIn" in bodies["/v1/traces"]
    assert b"fedau2_rejections" in bodies["/v1/metrics"]
    assert all(b"fedau2-coordinator" in body for body in bodies.values())


def test_a_collector_that_is_away_delays_nothing(tmp_path):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")
    life(tmp_path / "state", "--telemetry", "http://127.0.0.1:9")


def test_a_collector_that_never_finishes_an_answer_does_not_keep_a_coordinator_from_ending(tmp_path, dripping):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")
    life(tmp_path / "state", "--telemetry", dripping)


def test_without_the_setting_nothing_of_it_is_loaded(tmp_path):
    code = (
        "import sys; from coordinator.cli import main; "
        f"main(['serve', '--check', '--state', {str(tmp_path)!r}]); import coordinator.commands.serve; "
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'requests'))])"
    )
    variables = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": HERE}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "url",
    [
        "collector:4318",
        "http://collector.example.com:4318",
        "ftp://127.0.0.1",
        "https://a:b@c",
        "https://:b@c",
        "https://@c",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(tmp_path, capsys, url):
    assert main(["serve", "--check", "--state", str(tmp_path / "state"), "--telemetry", url]) == 1
    assert "telemetry must be URL" in capsys.readouterr().err


def test_without_the_extra_its_name_is_said_before_anything_starts(tmp_path, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("opentelemetry.exporter", "coordinator.telemetry"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter", None)
    assert main(["serve", "--state", str(tmp_path / "state"), "--telemetry", HERE]) == 1
    assert "pip install 'fedau2[otel]'" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_a_report_that_fails_is_not_the_last_one(monkeypatch, caplog):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from coordinator.metrics.metrics import Metrics
    from coordinator.telemetry import sending

    arrived, registries = threading.Event(), iter([None, "broken"])

    class Arriving(MetricExporter):
        def export(self, metrics_data, timeout_millis=0, **more):
            arrived.set()
            return MetricExportResult.SUCCESS

        def force_flush(self, timeout_millis=0):
            return True

        def shutdown(self, timeout_millis=0, **more):
            pass

    metrics = Metrics()
    monkeypatch.setattr(sending, "PERIOD", 0.001)
    telemetry = sending.Telemetry(InMemorySpanExporter(), Arriving(), lambda: next(registries, metrics.registry))
    assert arrived.wait(60)
    telemetry.close()
    assert "reports of metrics failed, the last by AttributeError" in caplog.text
