"""The certificate and the key of the device address. They are read and compared before anything is served.

gRPC would say of each mistake that the address cannot be served on, and of some of them only to the devices.
"""

import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from coordinator.errors import SettingError

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which `ssl` has no name for. The dates are compared here, to name them."""

_FLIGHTS = 3
"""Times that each end of a handshake is asked to go on; TLS 1.3 needs two."""


@dataclass(frozen=True)
class Tls:
    """PEM files of the device address.

    Attributes:
        certificate: the certificate, followed by those of the authorities between it and the root.
        key: its private key.
    """

    certificate: Path
    key: Path

    def check(self) -> None:
        """Returns if devices can be served with these files now.

        Raises:
            SettingError: a file cannot be read, they do not belong together, or no device would accept the certificate.
        """
        chain, key = _read("certificate", self.certificate), _read("key", self.key)
        if _BEGIN not in chain:
            raise SettingError(f"tls_certificate {self.certificate} holds no certificate in PEM ({_BEGIN})")
        if "PRIVATE KEY-----" not in key:
            raise SettingError(f"tls_key {self.key} holds no private key in PEM (-----BEGIN PRIVATE KEY-----)")
        if "ENCRYPTED" in key:
            raise SettingError(f"tls_key {self.key} is encrypted: give a key without a password, in a file of mode 600")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
            certificate = _decoded(context, chain)
        except (ssl.SSLError, ValueError) as error:
            raise SettingError(self._explained(error)) from error
        self._check_content(certificate)

    def credentials(self) -> grpc.ServerCredentials:
        """Makes the credentials of a server.

        Raises:
            SettingError: as `check`.
        """
        self.check()
        return grpc.ssl_server_credentials([(self.key.read_bytes(), self.certificate.read_bytes())])

    def _explained(self, error: Exception) -> str:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            return f"tls_key {self.key} is the key of another certificate than tls_certificate {self.certificate}"
        return f"tls_certificate {self.certificate} and tls_key {self.key} cannot be used: {error}"

    def _check_content(self, certificate: dict[str, Any]) -> None:
        now, subject = time.time(), f"tls_certificate {self.certificate}"
        if now >= ssl.cert_time_to_seconds(certificate["notAfter"]):
            raise SettingError(f"{subject} expired on {certificate['notAfter']}: renew it")
        if now < ssl.cert_time_to_seconds(certificate["notBefore"]):
            raise SettingError(f"{subject} is not valid before {certificate['notBefore']}: is the clock right?")
        if not certificate.get("subjectAltName"):
            raise SettingError(
                f"{subject} names no host in its subjectAltName, where devices look for it: make one that does"
            )


def _read(kind: str, path: Path) -> str:
    try:
        return path.read_text("latin-1")
    except OSError as error:
        raise SettingError(f"tls_{kind} {path} cannot be read: {error.strerror}") from error


def _decoded(server: ssl.SSLContext, chain: str) -> dict[str, Any]:
    """Decodes the first certificate of a chain: a client that trusts it alone shakes hands with the server."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    client.load_verify_locations(cadata=_BEGIN + chain.partition(_BEGIN)[2].partition(_END)[0] + _END)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True))
    for _ in range(_FLIGHTS):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends[0].getpeercert() or {}
