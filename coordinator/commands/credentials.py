"""The folder by which an operator shows who he is: an authority's certificate, and the operator's own with its key."""

from pathlib import Path

import grpc

from coordinator.errors import SettingError
from fedau2.wire import certificates
from fedau2.wire.errors import CertificateError

AUTHORITY, CERTIFICATE, KEY = "authority.pem", "certificate.pem", "key.pem"
"""The files of the folder: the authority of the coordinator's certificate, the operator's certificate, and its key."""


def read(folder: Path) -> grpc.ChannelCredentials:
    """Reads the credentials of an operator.

    Raises:
        SettingError: a file is missing, or they cannot be used.
    """
    authority, certificate, key = (_read(folder / name) for name in (AUTHORITY, CERTIFICATE, KEY))
    try:
        certificates.check_authorities(authority, str(folder / AUTHORITY))
        names = (str(folder / CERTIFICATE), str(folder / KEY))
        certificates.identity(certificate, key, names).expect_current()
    except CertificateError as error:
        raise SettingError(f"the credentials cannot be used: {error}") from error
    return grpc.ssl_channel_credentials(authority, key, certificate)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingError(
            f"the credentials cannot be used: {path} cannot be read: {error.strerror}; `fedau2-coordinator "
            "certificates` makes the folder"
        ) from error
