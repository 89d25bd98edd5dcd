"""Reads a certificate with its private key, and says what is wrong with them before they are used.

gRPC would name most of these mistakes to nobody, or to the other end only.
"""

import os
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from fedau2.wire.errors import CertificateError

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which `ssl` has no name for. The dates are compared here, to name them."""

_FLIGHTS = 3
"""Times that each end of a handshake is asked to go on; TLS 1.3 needs two."""


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key, which belong together.

    Attributes:
        name: of the certificate, for errors.
        decoded: the certificate's parts, as `ssl.SSLSocket.getpeercert` returns them.
    """

    name: str
    decoded: dict[str, Any]

    @property
    def ends(self) -> float:
        """The end of the certificate, in seconds since 1970."""
        return float(ssl.cert_time_to_seconds(self.decoded["notAfter"]))

    def expect_current(self) -> None:
        """Returns if the certificate is valid now.

        Raises:
            CertificateError: it has expired or is not valid yet.
        """
        now, ends, begins = time.time(), self.decoded["notAfter"], self.decoded["notBefore"]
        if now >= self.ends:
            raise CertificateError(f"{self.name} expired on {ends}: renew it")
        if now < ssl.cert_time_to_seconds(begins):
            raise CertificateError(f"{self.name} is not valid before {begins}: is the clock right?")

    def expect_host(self) -> None:
        """Returns if the certificate names a host.

        Raises:
            CertificateError: it names none.
        """
        if not self.decoded.get("subjectAltName"):
            raise CertificateError(
                f"{self.name} names no host in its subjectAltName, where devices look for it: make one that does"
            )


def identity(chain: bytes, key: bytes, names: tuple[str, str]) -> Identity:
    """Reads a certificate and its key.

    Args:
        chain: PEM of the certificate, followed by those of the authorities between it and the root.
        key: PEM of its private key, without a password.
        names: the names of the two in errors.

    Raises:
        CertificateError: they cannot be read, or do not belong together.
    """
    certificate, private = names
    text = chain.decode("latin-1")
    if _BEGIN not in text:
        raise CertificateError(f"{certificate} holds no certificate in PEM ({_BEGIN})")
    if b"PRIVATE KEY-----" not in key:
        raise CertificateError(f"{private} holds no private key in PEM (-----BEGIN PRIVATE KEY-----)")
    if b"ENCRYPTED" in key:
        raise CertificateError(f"{private} is encrypted: give a key without a password, which only its owner can read")
    try:
        with _file(chain) as first, _file(key) as second:
            server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            for end in (server, client):
                end.load_cert_chain(first, second)
        return Identity(certificate, _decoded(server, client, text))
    except (ssl.SSLError, ValueError) as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise CertificateError(f"{private} is the key of another certificate than {certificate}") from error
        raise CertificateError(f"{certificate} and {private} cannot be used: {error}") from error


def check_authorities(pem: bytes, name: str) -> float | None:
    """Returns the last end of certificates that can be trusted as authorities, in seconds since 1970.

    None: none of them says that it is an authority, so `ssl` does not tell.

    Args:
        pem: the certificates. Comments between them may have any letters.
        name: their name in errors.

    Raises:
        CertificateError: there is no certificate among them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=pem.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError) as error:
        raise CertificateError(
            f"no certificate in PEM is in {name}: give the bytes of a file with a line {_BEGIN}, not of a key or of DER"
        ) from error
    ends = [ssl.cert_time_to_seconds(str(authority["notAfter"])) for authority in context.get_ca_certs()]
    return float(max(ends)) if ends else None


def server_context(chain: bytes, key: bytes, authorities: bytes | None) -> ssl.SSLContext:
    """Makes the context of a server, which speaks TLS 1.3.

    Args:
        chain: as for `identity`, which has accepted it.
        key: the same.
        authorities: sign the certificates of callers, who must show one; None: callers need none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with _file(chain) as first, _file(key) as second:
        context.load_cert_chain(first, second)
    if authorities is not None:
        context.load_verify_locations(cadata=authorities.decode("ascii", "ignore"))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _decoded(server: ssl.SSLContext, client: ssl.SSLContext, chain: str) -> dict[str, Any]:
    """Decodes the first certificate of a chain: an end that trusts it alone shakes hands with one that shows it.

    A certificate may be for servers or for clients only, so each end is asked to judge the other.
    """
    client.check_hostname = False
    trusted = _BEGIN + chain.partition(_BEGIN)[2].partition(_END)[0] + _END
    for judge, other in ((client, server), (server, client)):
        judge.verify_mode, other.verify_mode = ssl.CERT_REQUIRED, ssl.CERT_NONE
        judge.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
        judge.load_verify_locations(cadata=trusted)
        with suppress(ssl.SSLCertVerificationError):
            return _shown(server, client, judge is server)
    raise CertificateError("the certificate is neither for a server nor for a client: make one with another purpose")


def _shown(server: ssl.SSLContext, client: ssl.SSLContext, to_server: bool) -> dict[str, Any]:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True))
    for _ in range(_FLIGHTS):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends[to_server].getpeercert() or {}


@contextmanager
def _file(data: bytes) -> Iterator[str]:
    """Gives bytes as a file, because `ssl` reads nothing else: on Linux in memory, elsewhere for its owner only."""
    if sys.platform == "linux":
        number = os.memfd_create("fedau2")
        try:
            with open(number, "wb", closefd=False) as file:
                file.write(data)
            yield f"/proc/self/fd/{number}"
        finally:
            os.close(number)
        return
    with TemporaryDirectory() as folder:
        path = os.path.join(folder, "pem")  # noqa: PTH118 - `ssl` takes a text
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(data)
        yield path
