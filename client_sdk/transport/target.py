"""Names of coordinators, as gRPC writes them: `dns:///host:port`, `host:port`, `[::1]:port`, `unix:path`."""

import re
from dataclasses import dataclass
from ipaddress import ip_address

from client_sdk.errors import UsageError

_NAME = re.compile(
    r"(?:(?P<scheme>dns|ipv4|ipv6|unix|unix-abstract):(?://(?P<authority>[^/]*)/)?)?(?P<endpoint>\S*[^\s:])"
)


@dataclass(frozen=True)
class Address:
    """A coordinator and how to reach it.

    TLS is used, except for a coordinator on this machine without root certificates, or where `insecure` says so.

    Attributes:
        coordinator: its name, for example "dns:///fed.example.com:443".
        root_certificates: PEM of the authorities to trust; None: those that gRPC brings along.
        insecure: sends plaintext; for networks that something else protects.

    Raises:
        UsageError: gRPC cannot understand the name, or the options contradict each other.
    """

    coordinator: str
    root_certificates: bytes | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        check(self.coordinator)
        if not isinstance(self.root_certificates, bytes | None):
            raise UsageError("root_certificates must be the bytes of a PEM file")
        if self.insecure and self.root_certificates is not None:
            raise UsageError("insecure=True sends plaintext, which no root certificate secures: give one of them")

    @property
    def loopback(self) -> bool:
        """True if calls cannot leave this machine."""
        return is_loopback(self.coordinator)

    @property
    def plaintext(self) -> bool:
        """True if calls are sent without TLS."""
        return self.insecure or (self.loopback and self.root_certificates is None)


def check(target: str) -> str:
    """Returns a name if gRPC can understand it.

    Raises:
        UsageError: gRPC cannot.
    """
    match = _NAME.fullmatch(target)
    if match is None or "://" in match["endpoint"]:
        raise UsageError(
            f"{target!r} is not a coordinator's name: write host:port or dns:///host:port, without http://"
        )
    return target


def is_loopback(target: str) -> bool:
    """Returns True if calls to a checked name cannot leave this machine."""
    match = _NAME.fullmatch(target)
    if match is None or match["authority"]:  # another name server may resolve "localhost" to any machine
        return False
    if (match["scheme"] or "").startswith("unix"):
        return True
    return all(map(_is_loopback_host, match["endpoint"].split(",")))


def _is_loopback_host(endpoint: str) -> bool:
    host = endpoint.rpartition(":")[0] if endpoint.count(":") == 1 or endpoint.startswith("[") else endpoint
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
