"""The page of metrics on every kind of address."""

import http.client
import logging
import socket
import threading

import pytest

from coordinator.errors import CoordinatorError
from coordinator.metrics.metrics import Metrics
from coordinator.metrics.scrape import Scrape
from fedau2.wire import addresses


def get(address, page):
    path = addresses.unix_path(address)
    connection = http.client.HTTPConnection(*(("localhost",) if path else addresses.served(address)), timeout=60)
    if path:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(path)
    try:
        connection.request("GET", page)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "[::1]:0", "unix:{}/m ?%41.sock"])
def test_metrics_and_health_are_served_where_it_says(tmp_path, address):
    metrics = Metrics()
    with Scrape(address.format(tmp_path), lambda: metrics.registry, lambda: "serving") as scrape:
        assert get(scrape.address, "/healthz") == (200, "serving\n")
        status, page = get(scrape.address, "/metrics")
        assert status == 200
        assert "fedau2_received_bytes_total 0.0" in page
        assert get(scrape.address, "/")[0] == 404
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["127.0.0.1:0", "unix:{}/m.sock"])
def test_an_address_in_use_is_refused(tmp_path, address):
    with (
        Scrape(address.format(tmp_path), lambda: None, lambda: "starting") as scrape,
        pytest.raises(CoordinatorError, match=f"cannot serve .*on {scrape.address}"),
    ):
        Scrape(scrape.address, lambda: None, lambda: "starting")


def test_a_name_that_nobody_knows_is_one_line():
    with pytest.raises(CoordinatorError, match=r"cannot serve metrics on nobody\.invalid:1: "):
        Scrape("nobody.invalid:1", lambda: None, lambda: "starting")


def test_a_caller_that_goes_away_is_one_line(tmp_path, capfd):
    gone, told, lines = threading.Event(), threading.Event(), []
    handler = logging.Handler()
    handler.emit = lambda record: (lines.append(record.getMessage()), told.set())
    logger = logging.getLogger("coordinator.metrics.scrape")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with Scrape(f"unix:{tmp_path}/m.sock", lambda: None, lambda: str(gone.wait(60))):
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(f"{tmp_path}/m.sock")
                caller.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            gone.set()
            assert told.wait(60)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert lines == ["a request for metrics broke off: BrokenPipeError"]
    assert capfd.readouterr().err == ""
