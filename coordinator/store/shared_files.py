"""Files that many read at the same time, and that are open once for all of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock


@dataclass(eq=False)
class _Open:
    descriptor: int
    readers: int = 0


class SharedFiles:
    """Open files by path. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._files: dict[Path, _Open] = {}

    @contextmanager
    def reading(self, path: Path) -> Iterator[int]:
        """Yields a descriptor for `os.pread`. It stays as it is if the file is deleted or replaced meanwhile.

        Raises:
            OSError: the file cannot be opened.
        """
        with self._lock:
            file = self._files.get(path) or self._files.setdefault(path, _Open(os.open(path, os.O_RDONLY)))
            file.readers += 1
        try:
            yield file.descriptor
        finally:
            with self._lock:
                file.readers -= 1
                if not file.readers:
                    os.close(file.descriptor)
                    if self._files.get(path) is file:
                        del self._files[path]

    def forget(self, path: Path) -> None:
        """Opens the file anew for later readers, because another has taken its place."""
        with self._lock:
            self._files.pop(path, None)
