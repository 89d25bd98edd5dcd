"""Values made of files that are replaced while they are in use, such as a certificate with its key."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Renewed(Generic[_T]):
    """The newest of what could be made of some files. It is asked at each use, from any thread.

    While a certificate is there and its key is not yet, what was made before stays in use, and the log says so.

    Args:
        name: of the files in the log, for example "the certificate of the device address".
        paths: the files.
        make: reads them.
        refused: the class of the errors that `make` raises.

    Raises:
        Exception: nothing can be made of the files now; it is of the class `refused`.
    """

    def __init__(self, name: str, paths: Sequence[Path], make: Callable[[], _T], refused: type[Exception]) -> None:
        self._name, self._paths, self._make, self._refused = name, paths, make, refused
        self._lock = threading.Lock()  # or a slow thread could put older files back
        self._seen = self._versions()  # before they are read: what is written meanwhile is read at the next use
        self._made = make()

    def newest(self) -> _T:
        """Returns what the newest usable files make."""
        with self._lock:
            seen = self._versions()
            if seen != self._seen:
                self._seen = seen
                self._renew()
            return self._made

    def _renew(self) -> None:
        try:
            self._made = self._make()
        except self._refused as error:
            _log.warning("%s was replaced by an unusable one; the one before stays in use: %s", self._name, error)
        else:
            _log.info("%s was renewed, and is in use: %s", self._name, self._paths[0])

    def _versions(self) -> list[tuple[int, int, int] | None]:
        """Returns what changes when a file is replaced or written again, for each file; None: it is not there."""
        return [_version(path) for path in self._paths]


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
