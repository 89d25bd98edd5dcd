"""Unix sockets to serve on. gRPC would take the place of whatever socket is there, so the coordinator looks first."""

import os
import socket
from pathlib import Path

from coordinator.errors import CoordinatorError, SettingError


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
