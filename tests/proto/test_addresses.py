"""Addresses: which can be called and served on, which are on this machine, and how gRPC is told of them."""

import socket
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedau2.wire import addresses
from fedau2.wire.errors import AddressError

OURS = [
    *("localhost:50051", "localhost", "Localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:50051", "::1"),
    *("dns:localhost:1", "dns:///localhost:1", "ipv4:127.0.0.1:1,127.0.0.2:2", "ipv6:[::1]:1"),
    *("unix:/run/fed.sock", "unix:///run/fed.sock", "unix:fed.sock", "unix-abstract:fed", "unix:/a b/%41?#.sock"),
]
OTHERS = [
    *("fed.example.com:443", "dns:///fed.example.com:443", "localhost.example.com:443", "127.0.0.1.example.com:443"),
    *("127.evil.example.com:1", "127.0.0.1.nip.io:1", "127.1:1", "dns://8.8.8.8/localhost:1"),
    *("ipv4:127.0.0.1:1,10.0.0.1:1", "10.0.0.1:1", "[2001:db8::1]:443", "0.0.0.0:1", "[::]:1", "::1:0", "127.0.0.1x:1"),
    *("local%68ost:1", "127.0.0.1@evil.example.com:1", "localhost.:1"),
]
NO_NAMES = ["", "http://fed.example.com", "https://localhost:1", "two words", "dns:", "localhost:"]
NO_PORTS = [
    "localhost:65536",
    "fed.example.com:99999",
    "[::1]:70000",
    "ipv4:127.0.0.1:1,127.0.0.1:65536",
    "a:-1",
    "a:1x",
]
NO_SOCKETS = [
    "unix:",
    "unix://",
    "unix:///",
    "unix://host/path",
    "unix:folder/",
    "unix:a,b",
    "unix:\0",
    "unix:" + 108 * "a",
]
NOT_SERVED = [
    *("8643", ":8643", "::1:0", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "[::1]", "[127.0.0.1]:1", "[nothing]:1"),
    *("dns:///localhost:1", "ipv4:1", "dns:1", "unix-abstract:1", "a:1,b:2", "two words:1", "http://a:1", "a:٣"),
]


@pytest.mark.parametrize("address", OURS)
def test_an_address_of_this_machine_is_loopback(address):
    assert addresses.is_loopback(addresses.check(address))


@pytest.mark.parametrize("address", OTHERS)
def test_every_other_address_is_not_even_if_it_looks_so(address):
    assert not addresses.is_loopback(addresses.check(address))


@given(st.from_regex(r"(127\.[0-9]{1,3}\.[0-9.]{0,8}|localhost)[a-z0-9.-]{0,12}", fullmatch=True))
def test_a_host_is_loopback_only_if_every_resolver_says_so(host):
    try:
        ours = host == "localhost" or socket.inet_pton(socket.AF_INET, host)[0] == 127
    except OSError:
        ours = False
    assert addresses.is_loopback(f"{host}:1") == ours


@pytest.mark.parametrize(
    ("address", "message"),
    [
        *((address, "host:port") for address in NO_NAMES),
        *((address, "no port from 0 to 65535") for address in NO_PORTS),
        *((address, "unix") for address in NO_SOCKETS),
    ],
)
def test_what_cannot_be_called_is_refused(address, message):
    with pytest.raises(AddressError, match=message):
        addresses.check(address)
    with pytest.raises(AddressError):
        addresses.channel(address)


@pytest.mark.parametrize("address", ["a:1", "a:1,b:2", "[::1]:1", "dns:///a:1", "unix:/d.sock", "unix-abstract:d"])
def test_an_address_may_have_to_name_its_port(address):
    assert addresses.check_port_named(address) == address
    if "unix" not in address:
        with pytest.raises(AddressError, match="names no port"):
            addresses.check_port_named(address.removesuffix(":2").removesuffix(":1"))


@given(st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map("[{}]".format)), st.integers(0, 99_999))
def test_a_host_and_a_port_can_be_served_on_if_there_is_such_a_port(host, port):
    address = f"{host}:{port}"
    if port > 65535:
        with pytest.raises(AddressError, match="no port"):
            addresses.served(address)
    else:
        assert addresses.served(addresses.check_served(address)) == (host.strip("[]"), port)


@pytest.mark.parametrize("address", [*NOT_SERVED, *NO_SOCKETS])
def test_what_cannot_be_served_on_is_refused(address):
    with pytest.raises(AddressError):
        addresses.check_served(address)


def test_a_socket_is_served_under_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("a b/d.sock", f"{tmp_path}/a b/d.sock", f"//{tmp_path}/a b/d.sock"):
        assert addresses.check_served(f"unix:{path}") == f"unix:{tmp_path}/a b/d.sock"


@given(st.text(string.printable.replace(",", ""), min_size=1, max_size=40))
def test_grpc_is_told_of_a_path_in_letters_that_no_url_reads_otherwise(name):
    path = f"/{name.lstrip('/')}x"
    told = addresses.target(f"unix:{path}")
    assert not set(told) & set('?#" \n')
    assert told.count("%") == sum(letter not in string.ascii_letters + string.digits + "_.-~/" for letter in path)
    assert addresses.unix_path(f"unix:{path}") == path


def test_no_proxy_is_asked_for_this_machine():
    for address in OURS:
        assert dict(addresses.channel(address)[1])["grpc.enable_http_proxy"] == 0
    for address in OTHERS:
        assert dict(addresses.channel(address)[1])["grpc.enable_http_proxy"] == 1
