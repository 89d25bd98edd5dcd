"""The certificate and the key of the device address. They are read and compared before anything is served.

gRPC would say of each mistake that the address cannot be served on, and of some of them only to the devices.
"""

from dataclasses import dataclass
from pathlib import Path

import grpc

from coordinator.errors import SettingError
from fedau2.wire import certificates
from fedau2.wire.errors import CertificateError


@dataclass(frozen=True)
class Tls:
    """PEM files of the device address.

    Attributes:
        certificate: the certificate, followed by those of the authorities between it and the root.
        key: its private key.
        client_authorities: the authorities that sign devices' certificates; None: devices need no certificate.
    """

    certificate: Path
    key: Path
    client_authorities: Path | None = None

    def check(self) -> None:
        """Returns if devices can be served with these files now.

        Raises:
            SettingError: a file cannot be read, they do not belong together, or no device would accept the certificate.
        """
        chain, key, authorities = self._read()
        names = (f"tls_certificate {self.certificate}", f"tls_key {self.key}")
        try:
            identity = certificates.identity(chain, key, names)
            identity.expect_current()
            identity.expect_host()
            if authorities is not None:
                certificates.check_authorities(authorities, f"tls_client_ca {self.client_authorities}")
        except CertificateError as error:
            raise SettingError(str(error)) from error

    def credentials(self) -> grpc.ServerCredentials:
        """Makes the credentials of a server.

        Raises:
            SettingError: as `check`.
        """
        self.check()
        chain, key, authorities = self._read()
        return grpc.ssl_server_credentials([(key, chain)], authorities, require_client_auth=authorities is not None)

    def _read(self) -> tuple[bytes, bytes, bytes | None]:
        authorities = self.client_authorities
        return (
            _read("certificate", self.certificate),
            _read("key", self.key),
            None if authorities is None else _read("client_ca", authorities),
        )


def _read(kind: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingError(f"tls_{kind} {path} cannot be read: {error.strerror}") from error
