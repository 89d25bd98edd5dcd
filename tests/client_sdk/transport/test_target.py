import pytest

from client_sdk.errors import UsageError
from client_sdk.transport import target


@pytest.mark.parametrize(
    "name",
    [
        "localhost:50051",
        "localhost",
        "127.0.0.1:1",
        "127.9.9.9:1",
        "[::1]:50051",
        "::1",
        "dns:localhost:1",
        "dns:///localhost:1",
        "ipv4:127.0.0.1:1,127.0.0.2:2",
        "ipv6:[::1]:1",
        "unix:/run/fed.sock",
        "unix:///run/fed.sock",
        "unix-abstract:fed",
    ],
)
def test_loopback_names_need_no_tls(name):
    assert target.is_loopback(target.check(name))


@pytest.mark.parametrize(
    "name",
    [
        "fed.example.com:443",
        "dns:///fed.example.com:443",
        "localhost.example.com:443",
        "127.0.0.1.example.com:443",
        "dns://8.8.8.8/localhost:1",
        "ipv4:127.0.0.1:1,10.0.0.1:1",
        "10.0.0.1:1",
        "[2001:db8::1]:443",
        "0.0.0.0:1",
    ],
)
def test_all_other_names_need_tls(name):
    assert not target.is_loopback(target.check(name))


@pytest.mark.parametrize("name", ["", "http://fed.example.com", "https://localhost:1", "two words", "dns:"])
def test_what_is_no_name_is_told(name):
    with pytest.raises(UsageError, match="host:port"):
        target.check(name)
