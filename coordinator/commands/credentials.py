"""The folder by which an operator shows who he is: an authority's certificate, and a certificate, a token or both."""

from pathlib import Path

import grpc

from coordinator.errors import SettingError
from fedau2.wire import certificates
from fedau2.wire.errors import CertificateError

AUTHORITY, CERTIFICATE, KEY, TOKEN = "authority.pem", "certificate.pem", "key.pem", "token"
"""The files of the folder: the authority of the coordinator's certificate, the operator's certificate with its key, and
the operator's token. A folder with a token needs no certificate."""


def read(folder: Path) -> grpc.ChannelCredentials:
    """Reads the credentials of an operator.

    Raises:
        SettingError: a file is missing, or they cannot be used.
    """
    authority = _read(folder / AUTHORITY)
    token = _token(folder / TOKEN) if (folder / TOKEN).exists() else None
    pair = (None, None) if token and not (folder / CERTIFICATE).exists() else _pair(folder)
    try:
        certificates.check_authorities(authority, str(folder / AUTHORITY))
    except CertificateError as error:
        raise SettingError(f"the credentials cannot be used: {error}") from error
    secured = grpc.ssl_channel_credentials(authority, *pair)
    if token is None:
        return secured
    return grpc.composite_channel_credentials(secured, grpc.access_token_call_credentials(token))


def _pair(folder: Path) -> tuple[bytes, bytes]:
    certificate, key = _read(folder / CERTIFICATE), _read(folder / KEY)
    try:
        certificates.identity(certificate, key, (str(folder / CERTIFICATE), str(folder / KEY))).expect_current()
    except CertificateError as error:
        raise SettingError(f"the credentials cannot be used: {error}") from error
    return key, certificate


def _token(path: Path) -> str:
    try:
        token = _read(path).decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if not token.isprintable() or not token:
        raise SettingError(f"the credentials cannot be used: {path} holds no token")
    return token


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingError(
            f"the credentials cannot be used: {path} cannot be read: {error.strerror}; `fedau2-coordinator "
            "certificates` makes the folder"
        ) from error
