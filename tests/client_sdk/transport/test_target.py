import pytest

from client_sdk.errors import UsageError
from client_sdk.transport.target import Address


@pytest.mark.parametrize("name", ["localhost:1", "[::1]:1", "unix:/run/fed.sock"])
def test_this_machine_needs_no_tls(name):
    assert Address(name).plaintext


@pytest.mark.parametrize("name", ["fed.example.com:443", "127.evil.example.com:1", "127.0.0.1.nip.io:1"])
def test_all_other_names_need_tls_unless_told_otherwise(name):
    assert not Address(name).plaintext
    assert Address(name, insecure=True).plaintext


@pytest.mark.parametrize("name", ["", "http://fed.example.com", "fed.example.com:99999", "unix:"])
def test_what_is_no_name_is_told(name):
    with pytest.raises(UsageError, match="not a server's address"):
        Address(name)


@pytest.mark.parametrize(
    "pem", [b"", b"not PEM", b"\x30\x82\x01", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"]
)
def test_root_certificates_that_hold_none_are_told(pem):
    with pytest.raises(UsageError, match="no certificate in PEM"):
        Address("fed.example.com:443", pem)
