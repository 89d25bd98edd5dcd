"""The certificate and the key of an address. They are read and compared before anything is served.

gRPC would say of each mistake that the address cannot be served on, and of some of them only to the devices.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import grpc

from coordinator.errors import SettingError
from fedau2.wire import certificates
from fedau2.wire.errors import CertificateError

_log = logging.getLogger(__name__)


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

    def credentials(self) -> grpc.ServerCredentials:
        """Makes the credentials of a server. Files that are replaced later are used from the next connection on.

        Raises:
            SettingError: as `check`.
        """
        newest = _Newest(self)
        required = self.client_authorities is not None
        return grpc.dynamic_ssl_server_credentials(newest.configuration, newest, require_client_authentication=required)

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Reads the files and checks them.

        Raises:
            SettingError: as `check`.
        """
        chain, key = self._read("certificate", self.certificate), self._read("key", self.key)
        authorities = None if self.client_authorities is None else self._read("client_ca", self.client_authorities)
        names = (f"{self.settings}_certificate {self.certificate}", f"{self.settings}_key {self.key}")
        try:
            identity = certificates.identity(chain, key, names)
            identity.expect_current()
            identity.expect_host()
            if authorities is not None:
                certificates.check_authorities(authorities, f"{self.settings}_client_ca {self.client_authorities}")
        except CertificateError as error:
            raise SettingError(str(error)) from error
        return grpc.ssl_server_certificate_configuration([(key, chain)], authorities)

    def _read(self, kind: str, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise SettingError(f"{self.settings}_{kind} {path} cannot be read: {error.strerror}") from error

    def versions(self) -> list[tuple[int, int, int] | None]:
        """Returns what changes when a file is replaced or written again, for each file; None: it is not there."""
        paths = [self.certificate, self.key, *([self.client_authorities] if self.client_authorities else [])]
        return [_version(path) for path in paths]


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


class _Newest:
    """The newest files that can be used. gRPC calls it at each handshake.

    While a certificate is there and its key is not yet, the files before them stay in use.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._seen = tls.versions()  # before they are read: what is written meanwhile is read at the next handshake
        self.configuration = tls.read()

    def __call__(self) -> grpc.ServerCertificateConfiguration:
        seen = self._tls.versions()
        if seen == self._seen:
            return self.configuration
        self._seen = seen
        try:
            self.configuration = self._tls.read()
        except SettingError as error:
            _log.warning("the certificate before stays in use, because the new one cannot be used: %s", error)
        else:
            _log.info("a new certificate is in use: %s", self._tls.certificate)
        return self.configuration
