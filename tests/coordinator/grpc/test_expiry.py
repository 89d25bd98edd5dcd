"""The ends of certificates in use: metrics follow a renewal, and the log names those that end soon once a day."""

from dataclasses import replace

import pytest

from coordinator.grpc.expiry import SOON, Expiry, ends
from coordinator.grpc.tls import Tls
from coordinator.grpc.unmasker_client import ClientTls
from tests import certificates

DAY = 86_400.0
AUTHORITY = certificates.make(names=(), signs=True, until=40)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "authority.pem").write_bytes(AUTHORITY[1])

    def write(days):
        for name, data in zip(
            ("key.pem", "certificate.pem"), certificates.make(until=days, authority=AUTHORITY), strict=True
        ):
            (tmp_path / name).write_bytes(data)
        return Tls(tmp_path / "certificate.pem", tmp_path / "key.pem", tmp_path / "authority.pem")

    return write


def days_left(expiry, now):
    return {labels["setting"]: round((value - now) / DAY) for _, _, value, labels in expiry.gauges()}


def test_metrics_name_what_is_in_use_and_follow_a_renewal(files, tmp_path):
    tls = files(20)
    shown = ClientTls(tmp_path / "authority.pem", tmp_path / "certificate.pem", tmp_path / "key.pem")
    expiry = Expiry(ends((tls, None, replace(tls, client_authorities=None, settings="replica_tls")), shown))
    now = tls.read().ends - 20 * DAY
    shown_alike = ("tls_certificate", "replica_tls_certificate", "unmasker_tls_certificate")
    known = {"tls_client_ca": 40} | dict.fromkeys(shown_alike, 20)
    assert days_left(expiry, now) == known
    files(30)
    assert days_left(expiry, now) == known | dict.fromkeys(shown_alike, 30)
    (tmp_path / "key.pem").write_bytes(b"")  # what cannot be used is not in use
    assert days_left(expiry, now) == known | dict.fromkeys(shown_alike, 30)


def test_without_certificates_there_is_nothing_to_watch():
    assert not list(Expiry(ends((None, None), ClientTls(None, None, None))).gauges())


def test_the_log_names_them_once_a_day_until_they_are_renewed(caplog):
    end, now = [100 * DAY], [100 * DAY - SOON - 1]
    expiry = Expiry({"tls_certificate": lambda: end[0], "tls_client_ca": lambda: None}, lambda: now[0])

    def lines():
        caplog.clear()
        expiry.warn()
        return [(record.levelname, record.getMessage()) for record in caplog.records]

    assert lines() == []
    now[0] += 1
    assert lines() == [("WARNING", "tls_certificate ends at 1970-04-11 00:00+00:00: renew it, which needs no restart")]
    now[0] += DAY - 1
    assert lines() == []
    now[0] += 1
    assert len(lines()) == 1
    now[0] = end[0]
    (level, text), *others = lines()
    assert (level, others) == ("ERROR", [])
    assert "new connections fail" in text
    end[0] += 30 * DAY
    now[0] += 2 * DAY
    assert lines() == []
