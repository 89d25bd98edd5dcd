"""Addresses of coordinators: `host:port`, `[::1]:port`, `unix:PATH`, and gRPC's other names, such as `dns:///host:port`.

A path after `unix:` is meant as it stands. gRPC reads it as a part of a URL, so `channel` and `target` escape it.
"""

import os
import re
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from urllib.parse import quote

from fedau2.wire.errors import AddressError

_NAME = re.compile(r"(?:(?P<scheme>dns|ipv4|ipv6|unix-abstract):(?://(?P<authority>[^/]*)/)?)?(?P<endpoint>\S*[^\s:])")
_SERVED = re.compile(r"(?P<host>[^\s:/\[\]?#%,]+|\[[0-9a-fA-F:.]+\]):(?P<port>[0-9]{1,5})")
_SCHEMES = ("dns", "ipv4", "ipv6", "vsock", "unix-abstract")

_PORT = re.compile("[0-9]{1,5}")
_LARGEST_PORT = 65535

_UNIX = "unix:"

_LONGEST_PATH = 107
"""Most bytes in the path of a unix socket."""


def unix_path(address: str) -> str | None:
    """Returns the path of a unix socket, or None if the address is another."""
    if not address.startswith(_UNIX):
        return None
    path = address.removeprefix(_UNIX)
    return path.removeprefix("//") if path.startswith("///") else path


def check(address: str) -> str:
    """Returns an address if a device can call it.

    Raises:
        AddressError: gRPC cannot understand it.
    """
    if (path := unix_path(address)) is not None:
        _check_path(path)
        return address
    match = _NAME.fullmatch(address)
    if match is None or "://" in match["endpoint"]:
        raise AddressError(f"{address!r} is not an address: write host:port or dns:///host:port, without http://")
    if match["scheme"] != "unix-abstract":
        for endpoint in match["endpoint"].split(","):
            _check_port(address, _split(endpoint)[1])
    return address


def check_port_named(address: str) -> str:
    """Returns an address that names its port, or a unix socket, and that can be called.

    Raises:
        AddressError: it does not: gRPC would take port 443.
    """
    if unix_path(check(address)) is not None:
        return address
    match = _NAME.fullmatch(address)
    if match and match["scheme"] != "unix-abstract" and not all(_split(e)[1] for e in match["endpoint"].split(",")):
        raise AddressError(f"{address!r} names no port: write host:port")
    return address


def served(address: str) -> tuple[str, int]:
    """Returns the host, without brackets, and the port of an address to serve on, which is not a unix socket.

    Raises:
        AddressError: it is not a host and a port.
    """
    match = _SERVED.fullmatch(address)
    if match is None or match["host"] in _SCHEMES:
        raise AddressError(f"{address!r} is not an address to serve on: write host:port, [IPv6]:port or unix:PATH")
    _check_port(address, match["port"])
    host = match["host"].strip("[]")
    if match["host"].startswith("["):
        _check_ipv6(address, host)
    return host, int(match["port"])


def check_served(address: str) -> str:
    """Returns an address if a coordinator can serve on it, with the whole path of a unix socket.

    Raises:
        AddressError: it is not `host:port`, `[IPv6]:port` or `unix:PATH`.
    """
    if (path := unix_path(address)) is None:
        served(address)
        return address
    _check_path(path)
    whole = str(Path(path).absolute())
    _check_path(whole)
    return f"{_UNIX}{whole}"


def is_loopback(address: str) -> bool:
    """Returns True if calls to a checked address cannot leave this machine. Names that only look so do not count."""
    if unix_path(address) is not None:
        return True
    match = _NAME.fullmatch(address)
    if match is None or match["authority"]:  # another name server may resolve "localhost" to any machine
        return False
    if match["scheme"] == "unix-abstract":
        return True
    return all(_is_loopback_host(_split(endpoint)[0]) for endpoint in match["endpoint"].split(","))


def target(address: str) -> str:
    """Returns the address as gRPC reads it: the path of a unix socket is escaped."""
    path = unix_path(address)
    return address if path is None else f"{_UNIX}{quote(path)}"


def channel(address: str) -> tuple[str, list[tuple[str, int]]]:
    """Returns the name and the options of a gRPC channel to an address. Calls to this machine are sent to no proxy.

    Raises:
        AddressError: gRPC cannot understand the address.
    """
    proxy = ("grpc.enable_http_proxy", int(not is_loopback(check(address))))
    # In a pool of its own, a new channel does not inherit the waiting time after another's failure to connect.
    return target(address), [("grpc.use_local_subchannel_pool", 1), proxy]


def _split(endpoint: str) -> tuple[str, str]:
    """Splits `host`, `host:port`, `[IPv6]`, `[IPv6]:port` or `IPv6` into host and port, which may be empty."""
    if endpoint.startswith("["):
        host, _, port = endpoint.rpartition("]")
        return host.removeprefix("["), port.removeprefix(":")
    host, _, port = endpoint.partition(":") if endpoint.count(":") == 1 else (endpoint, "", "")
    return host, port


def _check_path(path: str) -> None:
    if not path or path.startswith("//") or path.endswith("/") or {"\0", ","} & set(path):
        raise AddressError(f"'unix:{path}' names no socket: write unix: and the path of a file, without a comma")
    if (size := len(os.fsencode(path))) > _LONGEST_PATH:
        raise AddressError(f"the path of a unix socket has at most {_LONGEST_PATH} bytes; {path} has {size}")


def _check_port(address: str, port: str) -> None:
    if port and not (_PORT.fullmatch(port) and int(port) <= _LARGEST_PORT):
        raise AddressError(f"{address!r} has no port from 0 to {_LARGEST_PORT}")


def _check_ipv6(address: str, host: str) -> None:
    try:
        IPv6Address(host)
    except ValueError as error:
        raise AddressError(f"{address!r} has no IPv6 address in its brackets") from error


def _is_loopback_host(host: str) -> bool:
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
