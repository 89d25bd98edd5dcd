"""The certificate and the key of an address. They are read and compared before anything is served.

gRPC would say of each mistake that the address cannot be served on, and of some of them only to the devices.
"""

import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import grpc

from coordinator.errors import SettingError
from fedau2.renewal import Renewed
from fedau2.wire import certificates
from fedau2.wire.errors import CertificateError


@dataclass(frozen=True)
class Shown:
    """The certificate that an address shows and the authorities that it trusts, as they were read.

    Attributes:
        chain: PEM of the certificate, followed by those of the authorities between it and the root.
        key: PEM of its private key.
        authorities: PEM of the authorities that sign callers' certificates; None: callers need no certificate.
        ends: end of the certificate, in seconds since 1970.
        authorities_end: end of the last of the authorities; None without any.
    """

    chain: bytes
    key: bytes
    authorities: bytes | None
    ends: float
    authorities_end: float | None


@dataclass(frozen=True)
class Tls:
    """PEM files of an address.

    Attributes:
        certificate: the certificate, followed by those of the authorities between it and the root.
        key: its private key.
        client_authorities: the authorities that sign callers' certificates; None: callers need no certificate.
        settings: beginning of the names of the settings that hold these files.
    """

    certificate: Path
    key: Path
    client_authorities: Path | None = None
    settings: str = "tls"

    def check(self) -> None:
        """Returns if callers can be served with these files now.

        Raises:
            SettingError: a file cannot be read, they do not belong together, or no caller would accept the certificate.
        """
        self.read()

    @cached_property
    def renewed(self) -> Renewed[Shown]:
        """The newest files that can be used.

        Raises:
            SettingError: as `check`, at the first use.
        """
        authorities = [] if self.client_authorities is None else [self.client_authorities]
        paths = [self.certificate, self.key, *authorities]
        return Renewed(f"the certificate of {self.settings}_certificate", paths, self.read, SettingError)

    def credentials(self) -> grpc.ServerCredentials:
        """Makes the credentials of a server. Files that are replaced later are used from the next connection on.

        Raises:
            SettingError: as `check`.
        """
        required = self.client_authorities is not None
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._configuration, require_client_authentication=required
        )

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        shown = self.renewed.newest()
        return grpc.ssl_server_certificate_configuration([(shown.key, shown.chain)], shown.authorities)

    def context(self) -> ssl.SSLContext:
        """Makes the context of a server that is not gRPC's. Files that are replaced later count as in `credentials`.

        Raises:
            SettingError: as `check`.
        """
        made = _context(self.renewed.newest())
        made.sni_callback = _Newest(self.renewed)
        return made

    def read(self) -> Shown:
        """Reads the files and checks them.

        Raises:
            SettingError: as `check`.
        """
        chain, key = self._read("certificate", self.certificate), self._read("key", self.key)
        authorities = None if self.client_authorities is None else self._read("client_ca", self.client_authorities)
        names = (f"{self.settings}_certificate {self.certificate}", f"{self.settings}_key {self.key}")
        last = None
        try:
            identity = certificates.identity(chain, key, names)
            identity.expect_current()
            identity.expect_host()
            if authorities is not None:
                name = f"{self.settings}_client_ca {self.client_authorities}"
                last = certificates.check_authorities(authorities, name)
        except CertificateError as error:
            raise SettingError(str(error)) from error
        return Shown(chain, key, authorities, identity.ends, last)

    def _read(self, kind: str, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise SettingError(f"{self.settings}_{kind} {path} cannot be read: {error.strerror}") from error


def _context(shown: Shown) -> ssl.SSLContext:
    return certificates.server_context(shown.chain, shown.key, shown.authorities)


class _Newest:
    """Gives a connection the newest certificate and authorities, before it is shown one."""

    def __init__(self, renewed: Renewed[Shown]) -> None:
        self._renewed = renewed
        self._made = (renewed.newest(), _context(renewed.newest()))

    def __call__(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        shown = self._renewed.newest()
        if shown is not self._made[0]:
            self._made = (shown, _context(shown))
        connection.context = self._made[1]
