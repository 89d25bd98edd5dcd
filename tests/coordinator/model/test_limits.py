"""What one network address may do, whatever others do."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.model import limits
from coordinator.model.limits import BURST, AddressLimits

ONE, OTHER = "192.0.2.1", "192.0.2.2"


@given(st.lists(st.floats(0, 3), max_size=300), st.sampled_from([1.0, 5.0]))
def test_no_address_makes_more_calls_than_its_rate_and_a_burst(pauses, rate):
    book, now, made = AddressLimits(rate=rate), 1000.0, []
    for pause in pauses:
        now += pause
        if not book.begin(ONE, now):
            made.append(now)
            book.end(ONE)
    for start in range(len(made)):
        for end in range(start, len(made)):
            assert end - start + 1 <= rate * (made[end] - made[start]) + rate * BURST + 1e-6


@given(st.lists(st.tuples(st.sampled_from([ONE, OTHER]), st.booleans()), max_size=100))
def test_calls_under_way_are_counted_by_address(steps):
    book, under_way = AddressLimits(calls=3), {ONE: 0, OTHER: 0}
    for address, begins in steps:
        if begins:
            limit = book.begin(address, 0.0)
            assert limit == ("calls" if under_way[address] == 3 else "")
            under_way[address] += not limit
        elif under_way[address]:
            book.end(address)
            under_way[address] -= 1


def test_uploads_have_a_share_and_a_single_one_always_fits():
    book = AddressLimits(bytes=100)
    book.begin(ONE, 0.0)
    book.begin(OTHER, 0.0)
    assert book.take(ONE, 1000), "a single one"
    assert not book.take(ONE, 1)
    assert book.take(OTHER, 60)
    assert book.take(OTHER, 40)
    assert not book.take(OTHER, 1)
    book.give(OTHER, 40)
    assert book.take(OTHER, 40)


@given(st.floats(1e-3, 0.1))
def test_a_low_rate_lets_a_call_through_now_and_then(rate):
    book = AddressLimits(rate=rate)
    assert [book.begin(ONE, 0.0) for _ in range(3)] == ["", "rate", "rate"]
    assert book.begin(ONE, 0.9 / rate) == "rate"
    assert not book.begin(ONE, 1.1 / rate)


def test_this_machine_and_callers_without_an_address_are_not_limited():
    book = AddressLimits(rate=0.1, calls=1, bytes=1)
    for address in ("", "127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert not any(book.begin(address, 0.0) for _ in range(50))
        assert all(book.take(address, 10) for _ in range(5))
    assert not len(book)


def test_an_ipv6_network_is_one_address():
    book = AddressLimits(calls=1)
    assert not book.begin("2001:db8:0:1::1", 0.0)
    assert book.begin("2001:db8:0:1:ffff::2", 0.0) == "calls"
    assert not book.begin("2001:db8:0:2::1", 0.0)
    assert not book.begin("::ffff:192.0.2.1", 0.0)
    assert book.begin(ONE, 0.0) == "calls"


def test_addresses_that_do_nothing_are_forgotten(monkeypatch):
    monkeypatch.setattr(limits, "MOST", 3)
    book = AddressLimits(calls=1)
    book.begin(ONE, 0.0)
    for number in range(10):
        address = f"198.51.100.{number}"
        book.begin(address, 0.0)
        book.end(address)
    assert len(book) <= 4
    assert book.begin(ONE, 0.0) == "calls"
