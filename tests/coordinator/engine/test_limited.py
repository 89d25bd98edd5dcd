"""The log of addresses that are turned away cannot be flooded."""

import pytest

from coordinator.engine.limited import Limited
from coordinator.errors import BusyError
from coordinator.metrics.metrics import Metrics
from coordinator.model.caller import CALLER, Caller
from coordinator.model.limits import AddressLimits


def turned_away(limited, address):
    CALLER.set(Caller(address))
    with limited.call(), pytest.raises(BusyError), limited.call():
        pytest.fail("it was let through")


def lines(caplog, now, addresses):
    limited = Limited(AddressLimits(calls=1), Metrics(), lambda: now[0])
    for second, address in addresses:
        now[0] = second
        turned_away(limited, address)
    return [record.getMessage() for record in caplog.records if "turned away" in record.getMessage()]


def test_a_network_is_named_once_a_minute(caplog):
    sixes = [(number / 10, f"2001:db8::{number:x}") for number in range(300)]
    assert len(lines(caplog, [0.0], [*sixes, (60.0, "2001:db8::1")])) == 2


def test_no_more_than_20_networks_are_named_a_minute(caplog):
    many = [(float(minute), f"2001:db8:{number:x}::1") for minute in (0, 59, 60) for number in range(500)]
    assert len(lines(caplog, [0.0], many)) == 40
    assert caplog.text.count("no further address is named") == 2
