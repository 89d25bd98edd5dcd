"""The counters come from the metrics of a real coordinator's registry, and nothing else is taken for them."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from coordinator.dashboard import counters
from coordinator.dashboard.counters import Counters
from coordinator.errors import CallError
from coordinator.metrics.metrics import Metrics
from coordinator.metrics.scrape import Scrape
from tests.durability.server import free_port

COUNTS = st.integers(0, 2**50)
NAMED = st.dictionaries(st.sampled_from(["paused", "no_task", "round_closing"]), COUNTS)


@settings(max_examples=20)
@given(COUNTS, COUNTS, NAMED, NAMED)
def test_what_a_coordinator_counts_is_read(received, sent, rejections, refusals):
    metrics = Metrics()
    metrics.received.inc(received)
    metrics.sent.inc(sent)
    for reason, count in rejections.items():
        metrics.rejections.labels(reason).inc(count)
    for error, count in refusals.items():
        metrics.refusals.labels(error).inc(count)
    read = counters.parsed(generate_latest(metrics.registry).decode())
    assert read == Counters(received, sent, rejections, refusals)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "unix:{}/m ?%41.sock"])
def test_counters_are_read_from_the_address_of_the_metrics(tmp_path, address):
    metrics = Metrics()
    metrics.sent.inc(7)
    with Scrape(address.format(tmp_path), lambda: metrics.registry, lambda: "serving") as scrape:
        assert asyncio.run(counters.read(scrape.address)) == Counters(0, 7, {}, {})


def test_an_address_without_metrics_is_named():
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(CallError, match=f"the metrics on {address} cannot be read"):
        asyncio.run(counters.read(address))
    with (
        Scrape("127.0.0.1:0", lambda: None, lambda: "starting") as scrape,
        pytest.raises(CallError, match="no counters of a coordinator"),
    ):
        asyncio.run(counters.read(scrape.address))
