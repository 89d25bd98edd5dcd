"""Sockets to serve on. gRPC would take the place of whatever unix socket is there, so the coordinator looks first."""

import os
import socket
from pathlib import Path
from typing import Any

from coordinator.errors import CoordinatorError, SettingError
from fedau2.wire import addresses


def check(path: str) -> None:
    """Returns if there is a place for a socket, which may be taken.

    Raises:
        SettingError: the folder is missing, or something else has this path.
    """
    folder = Path(path).parent
    if not folder.is_dir():
        raise SettingError(f"unix:{path} needs the folder {folder}, which is not there: make it first")
    if os.path.lexists(path) and not Path(path).is_socket():
        raise SettingError(f"unix:{path} is not a socket but another file: name another path")


def take(path: str) -> None:
    """Removes a socket that a process has left, so that another can be made in its place.

    Raises:
        CoordinatorError: a process still listens there.
        SettingError: there is no place for a socket.
    """
    check(path)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            Path(path).unlink()
            return
        except BlockingIOError:
            pass  # somebody listens and is busy
        except OSError as error:
            raise CoordinatorError(f"cannot serve on unix:{path}: {error}") from error
    raise CoordinatorError(f"cannot serve on unix:{path}: another process serves there; name another path")


def resolved(address: str) -> tuple[int, Any]:
    """Returns the family of a checked `host:port`, and the address of a socket: IPv4's, if the host has both.

    Raises:
        OSError: the host has no address.
    """
    host, port = addresses.served(address)
    family, _, _, _, place = min(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return family, place


def bound(address: str) -> socket.socket:
    """Returns a socket at a checked address, to listen on.

    Raises:
        CoordinatorError: a process listens there already.
        SettingError: there is no place for a unix socket.
        OSError: the address cannot be served on.
    """
    path = addresses.unix_path(address)
    if path is not None:
        take(path)
    family, place = resolved(address) if path is None else (socket.AF_UNIX, path)
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
    except OSError:
        made.close()
        raise
    return made
