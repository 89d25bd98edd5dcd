"""The memory of uploads: it is lent to those under way, and the rest of it keeps the bytes of those that may go on."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from coordinator.errors import CutOffError, WrongOffsetError
from fedau2.v1.device_pb2 import UploadHeader
from fedau2.v1.task_pb2 import Resource
from fedau2.wire.blobs import Assembler


class UploadMemory:
    """A number of bytes that are lent in the order of the requests. Used on one event loop.

    The bytes of an upload that broke off, or that comes in parts, are kept while no upload under way needs the memory.
    The oldest go first.

    Args:
        size: in bytes. A loan that is larger waits for all others to end.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lent = 0
        self._kept = 0
        self._waiting: deque[tuple[bytes, int, asyncio.Future[Assembler | None]]] = deque()
        self._parts: dict[bytes, Assembler] = {}  # oldest first

    @property
    def use(self) -> dict[str, int]:
        """Bytes that are lent, and bytes that are kept of uploads that may go on."""
        return {"lent": self._lent, "kept": self._kept}

    def offset(self, assignment_id: bytes, sha256: bytes) -> int:
        """Returns how many bytes are kept of the contribution with this hash."""
        part = self._parts.get(assignment_id)
        return part.size if part is not None and part.expected.sha256 == sha256 else 0

    def keep_only(self, live: Callable[[bytes], bool]) -> None:
        """Forgets what is kept for the assignments for which `live` returns False."""
        for assignment_id in [key for key in self._parts if not live(key)]:
            self._take(assignment_id)

    @asynccontextmanager
    async def lend(self, header: UploadHeader, size: int) -> AsyncIterator[Assembler]:
        """Runs its block once there is room for an upload. The block adds the bytes that come to the yielded assembler.

        They are kept if the block ends before the upload is whole, unless it ends by an error that says they are wrong.

        Args:
            header: of the upload. The assembler has the bytes before its offset. Other bytes of its assignment are
                forgotten.
            size: bytes that the upload may take.

        Raises:
            WrongOffsetError: other bytes than those before the offset are kept.
        """
        unfinished = None
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((header.assignment_id, size, turn))
        try:
            self._lend()
            part = _goes_on(await turn, header)
            try:
                yield part
            except (CutOffError, asyncio.CancelledError):
                unfinished = part
                raise
            if not part.whole:
                unfinished = part
        finally:
            if not turn.cancelled():
                self._lent -= size
            if unfinished is not None:
                self._keep(header.assignment_id, unfinished)
            self._lend()

    def _lend(self) -> None:
        while self._waiting:
            assignment_id, size, turn = self._waiting[0]
            if not turn.cancelled():  # its upload has not been given up
                if self._lent and self._lent + size > self._size:
                    return
                self._lent += size
                turn.set_result(self._take(assignment_id))
                self._make_room()
            self._waiting.popleft()

    def _keep(self, assignment_id: bytes, part: Assembler) -> None:
        self._parts[assignment_id] = part
        self._kept += part.size
        self._make_room()

    def _take(self, assignment_id: bytes) -> Assembler | None:
        part = self._parts.pop(assignment_id, None)
        self._kept -= 0 if part is None else part.size
        return part

    def _make_room(self) -> None:
        while self._parts and self._lent + self._kept > self._size:
            self._take(next(iter(self._parts)))


def _goes_on(part: Assembler | None, header: UploadHeader) -> Assembler:
    expected = Resource(sha256=header.sha256, size=header.size)
    if not header.offset:
        return Assembler(expected)
    if part is None or part.expected != expected or part.size != header.offset:
        raise WrongOffsetError(f"the {header.offset} bytes before the upload's offset are not held; begin at 0")
    return part
