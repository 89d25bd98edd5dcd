"""Names of coordinators, as gRPC writes them: `dns:///host:port`, `host:port`, `[::1]:port`, `unix:path`."""

import re
from ipaddress import ip_address

from client_sdk.errors import UsageError

_NAME = re.compile(
    r"(?:(?P<scheme>dns|ipv4|ipv6|unix|unix-abstract):(?://(?P<authority>[^/]*)/)?)?(?P<endpoint>\S*[^\s:])"
)


def check(target: str) -> str:
    """Returns target if gRPC can understand it.

    Raises:
        UsageError: it is no such name.
    """
    match = _NAME.fullmatch(target)
    if match is None or "://" in match["endpoint"]:
        raise UsageError(f"{target!r} is no coordinator's name: write host:port or dns:///host:port, without http://")
    return target


def is_loopback(target: str) -> bool:
    """Whether calls to a checked target cannot leave this machine."""
    match = _NAME.fullmatch(target)
    if match is None or match["authority"]:  # another name server may say what it likes of "localhost"
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
