"""A coordinator's name with the way to reach it. `fedau2.wire.addresses` says how names are written."""

from dataclasses import dataclass

from client_sdk.errors import UsageError
from client_sdk.transport.credentials import Credentials
from fedau2.wire import addresses
from fedau2.wire.errors import AddressError, CertificateError

_NOBODY = Credentials()


@dataclass(frozen=True)
class Address:
    """A coordinator and how to reach it.

    TLS is used, except for a coordinator on this machine without any certificates, or where `insecure` says so.

    Attributes:
        coordinator: its name, for example "dns:///fed.example.com:443".
        root_certificates: PEM of the authorities to trust; None: those that gRPC brings along.
        insecure: sends plaintext; for networks that something else protects.
        credentials: a token, a certificate or the like that the device shows.

    Raises:
        UsageError: gRPC cannot understand the name, the certificates are not PEM, or the options contradict each other.
    """

    coordinator: str
    root_certificates: bytes | None = None
    insecure: bool = False
    credentials: Credentials = _NOBODY

    def __post_init__(self) -> None:
        try:
            addresses.check(self.coordinator)
        except AddressError as error:
            raise UsageError(f"this is not a server's address: {error}") from error
        if not isinstance(self.root_certificates, bytes | None):
            raise UsageError("root_certificates must be the bytes of a PEM file")
        if self.insecure and self.root_certificates is not None:
            raise UsageError("insecure=True sends plaintext, which no root certificate secures: give one of them")
        if not isinstance(self.credentials, Credentials):
            raise UsageError(f"credentials must be Credentials, not {type(self.credentials).__name__}")
        if self.insecure and self.credentials.certificate is not None:
            raise UsageError("insecure=True sends plaintext, in which no certificate is shown: give one of them")
        if self.insecure and self.credentials.metadata is not None and not addresses.is_loopback(self.coordinator):
            raise UsageError("insecure=True sends plaintext, in which everybody could read the metadata: use TLS")
        if self.root_certificates is not None:
            _check_certificates(self.root_certificates)

    @property
    def plaintext(self) -> bool:
        """True if calls are sent without TLS."""
        shown = (self.root_certificates, self.credentials.certificate)
        return self.insecure or (addresses.is_loopback(self.coordinator) and shown == (None, None))


def _check_certificates(pem: bytes) -> None:
    from fedau2.wire import certificates  # here, because most apps give no certificates

    try:
        certificates.check_authorities(pem, "root_certificates")
    except CertificateError as error:
        raise UsageError(str(error)) from error
