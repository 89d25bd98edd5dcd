"""A coordinator's name with the way to reach it. `fedau2.wire.addresses` says how names are written."""

from dataclasses import dataclass

from client_sdk.errors import UsageError
from fedau2.wire import addresses
from fedau2.wire.errors import AddressError


@dataclass(frozen=True)
class Address:
    """A coordinator and how to reach it.

    TLS is used, except for a coordinator on this machine without root certificates, or where `insecure` says so.

    Attributes:
        coordinator: its name, for example "dns:///fed.example.com:443".
        root_certificates: PEM of the authorities to trust; None: those that gRPC brings along.
        insecure: sends plaintext; for networks that something else protects.

    Raises:
        UsageError: gRPC cannot understand the name, the certificates are not PEM, or the options contradict each other.
    """

    coordinator: str
    root_certificates: bytes | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        try:
            addresses.check(self.coordinator)
        except AddressError as error:
            raise UsageError(f"this is not a coordinator's name: {error}") from error
        if not isinstance(self.root_certificates, bytes | None):
            raise UsageError("root_certificates must be the bytes of a PEM file")
        if self.insecure and self.root_certificates is not None:
            raise UsageError("insecure=True sends plaintext, which no root certificate secures: give one of them")
        if self.root_certificates is not None:
            _check_certificates(self.root_certificates)

    @property
    def plaintext(self) -> bool:
        """True if calls are sent without TLS."""
        return self.insecure or (addresses.is_loopback(self.coordinator) and self.root_certificates is None)


def _check_certificates(pem: bytes) -> None:
    import ssl  # here, because most apps give no certificates

    try:
        # Comments between the certificates may have any letters.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(
            "root_certificates hold no certificate in PEM: give the bytes of a file with a line "
            "-----BEGIN CERTIFICATE-----, not of a key or of DER"
        ) from error
