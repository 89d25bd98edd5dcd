"""Certificates and keys are read and compared, whatever they may be used for."""

import ssl
import sys

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from fedau2.wire.certificates import identity
from fedau2.wire.errors import CertificateError
from tests import certificates

NAMES = ("the certificate", "the key")


@pytest.mark.parametrize("purpose", [None, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_pair_for_any_end_is_read(monkeypatch, purpose, platform):
    monkeypatch.setattr(sys, "platform", platform)
    key, chain = certificates.make(purpose=purpose)
    found = identity(chain + certificates.make()[1], key, NAMES)
    found.expect_current()
    assert ssl.cert_time_to_seconds(found.decoded["notBefore"]) < ssl.cert_time_to_seconds(found.decoded["notAfter"])
    assert ("DNS", "localhost") in found.decoded["subjectAltName"]


def test_one_for_neither_end_is_refused():
    key, chain = certificates.make(purpose=ExtendedKeyUsageOID.TIME_STAMPING)
    with pytest.raises(CertificateError, match="neither for a server nor for a client"):
        identity(chain, key, NAMES)


def test_errors_quote_no_key():
    key = certificates.make()[0]
    with pytest.raises(CertificateError, match="is the key of another certificate than") as raised:
        identity(certificates.make()[1], key, NAMES)
    assert not set(key.decode().splitlines()) & set(str(raised.value).split())
