"""A disk whose state folder is also in an object store, from where another coordinator goes on with it.

A transaction of the ledger is committed after everything that was sent before it has arrived.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.engine import Connection

from coordinator.store.disk import Disk
from coordinator.store.object_files import AT_ONCE, PARTS, RECORDED, Part, key
from coordinator.store.objects import Objects
from fedau2 import files


@dataclass
class _Mirrored:
    """A file, and what of it has been written and not sent yet."""

    generation: int
    begin: int = 0
    sent: dict[str, Future[None]] = field(default_factory=dict)  # by the keys of its objects
    unsent: bytearray = field(default_factory=bytearray)


class Mirror(Disk):
    """The real disk, with the files of one state folder in an object store too. May be used from any thread.

    Args:
        folder: the state folder, named by its id.
        objects: the store.

    Attributes:
        folder: the state folder.
        objects: the store.
    """

    def __init__(self, folder: Path, objects: Objects) -> None:
        self.folder, self.objects = folder, objects
        self._lock = threading.Lock()
        self._files: dict[str, _Mirrored] = {}
        self._generations = 0
        self._noted: dict[str, bytes] = {}
        self._pending: list[Future[None]] = []
        self._failure: Exception | None = None
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="coordinator-objects")

    def hand_over(self, path: Path, parts: Sequence[Part]) -> None:
        """Sends a file that is in the folder already, as one object.

        Args:
            path: the file.
            parts: its objects in another term. A single one is copied within the store.
        """
        name, size = self._name(path), path.stat().st_size
        mirrored = self._made_anew(name, size)
        new = key(self.folder.name, name, mirrored.generation)

        def work() -> None:
            if len(parts) == 1 and parts[0].size == size:
                with suppress(FileNotFoundError):  # its former leader has just removed it
                    return self.objects.copy(parts[0].key, new)
            return self.objects.put(new, path)

        mirrored.sent[new] = self._start(work)

    def create(self, path: Path, mode: int = files.PRIVATE) -> BinaryIO:
        """As `Disk.create`."""
        file = super().create(path, mode)
        if name := self._name(path):
            self._made_anew(name)
        return file

    def write(self, file: BinaryIO, data: bytes) -> None:
        """As `Disk.write`. The bytes are sent by `sync`."""
        offset = file.tell()
        super().write(file, data)
        if name := self._name(Path(file.name)):
            with self._lock:
                mirrored = self._files[name]
                if offset != mirrored.begin + len(mirrored.unsent):  # it goes on, or what failed was cut off
                    mirrored.begin = offset
                    mirrored.unsent.clear()
                mirrored.unsent += data

    def sync(self, file: BinaryIO) -> None:
        """As `Disk.sync`. Bytes of the operators' log have arrived on return, others before the next commit."""
        super().sync(file)
        name = self._name(Path(file.name))
        if noted := self._noted.pop(name, None):
            self._replace(name, noted)
        elif name:
            self._send(name)
            if name == RECORDED:
                self.flush()

    def rewrite(self, file: BinaryIO, offset: int, data: bytes) -> None:
        """As `Disk.rewrite`. In the store these bytes are the whole file, from `sync` on."""
        super().rewrite(file, offset, data)
        if name := self._name(Path(file.name)):
            self._noted[name] = data

    def write_file(self, path: Path, data: bytes, mode: int = files.PRIVATE) -> None:
        """As `Disk.write_file`."""
        super().write_file(path, data, mode)
        if name := self._name(path):
            self._replace(name, data)

    def rename(self, old: Path, new: Path) -> None:
        """As `Disk.rename`."""
        super().rename(old, new)
        if self._name(old):
            self._replace(self._name(new), new.read_bytes())
            self._forget(self._name(old))

    def delete(self, path: Path) -> None:
        """As `Disk.delete`."""
        super().delete(path)
        if name := self._name(path):
            self._forget(name)

    def commit(self, connection: Connection) -> None:
        """As `Disk.commit`, once all that the transaction may name has arrived.

        Raises:
            ObjectsError: it has not. Nothing was committed.
        """
        self.flush()
        super().commit(connection)

    def flush(self) -> None:
        """Waits until everything has arrived that was sent.

        Raises:
            ObjectsError: something has not. Nothing is sent any more then.
        """
        with self._lock:
            pending = list(self._pending)  # they stay there, because another thread may wait for them too
        try:
            for future in pending:
                future.result()
        except Exception as error:
            self._failure = error
            raise

    def close(self) -> None:
        """Finishes what was begun, as far as the store answers, and ends the threads."""
        self._pool.shutdown()

    def _start(self, work: Callable[[], None]) -> Future[None]:
        """Begins work on another thread."""
        if self._failure is not None:
            raise self._failure
        with self._lock:
            self._pending = [future for future in self._pending if not future.done() or future.exception()]
            self._pending.append(self._pool.submit(work))
            return self._pending[-1]

    def _made_anew(self, name: str, size: int = 0) -> _Mirrored:
        """Begins a file anew. So many bytes of it are sent at once."""
        with self._lock:
            self._generations += 1
            mirrored = self._files[name] = _Mirrored(self._generations, size)
            return mirrored

    def _send(self, name: str) -> None:
        with self._lock:
            mirrored = self._files[name]
            data = bytes(mirrored.unsent)
            if not data:
                return
            new = key(self.folder.name, name, mirrored.generation, mirrored.begin)
            mirrored.begin += len(data)
            mirrored.unsent.clear()
        if new in mirrored.sent:  # of a file that was empty: the key stands for no bytes
            self._replace(name, data)
        else:
            mirrored.sent[new] = self._start(lambda: self.objects.put(new, data))

    def _replace(self, name: str, data: bytes) -> None:
        before = self._files.get(name)
        mirrored = self._made_anew(name, len(data))
        new = key(self.folder.name, name, mirrored.generation)

        def work() -> None:
            self.objects.put(new, data)
            self._delete(before)  # only now, so that there is always one

        mirrored.sent[new] = self._start(work)

    def _forget(self, name: str) -> None:
        with self._lock:
            mirrored = self._files.pop(name, None)
        self._start(lambda: self._delete(mirrored))

    def _delete(self, mirrored: _Mirrored | None) -> None:
        if mirrored is not None:
            wait(mirrored.sent.values())  # they have begun, because threads take their work in order
            for old in mirrored.sent:
                self.objects.delete(old)

    def _name(self, path: Path) -> str:
        """Returns the path of a file in the folder; empty: it is not in the store."""
        if path.suffix == ".tmp" or not path.is_relative_to(self.folder):
            return ""
        relative = path.relative_to(self.folder)
        return relative.as_posix() if relative.parts and relative.parts[0] in PARTS else ""
