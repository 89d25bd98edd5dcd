"""Reads assignments that no open round holds, with one read at a time for all who ask.

Anybody may make up an id and upload to it. Each such call needs the ledger's word, because a device may repeat a call
long after its round. A read for each call would take the writing thread from those who contribute.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

from coordinator.store.rows import AssignmentRow

_LENGTH = 16
"""Bytes of an id."""

Rows = Mapping[bytes, AssignmentRow]


class Recall:
    """Answers questions about assignments. Used on one event loop.

    Args:
        read: reads the assignments with these ids that there are.
    """

    def __init__(self, read: Callable[[Collection[bytes]], Awaitable[Rows]]) -> None:
        self._read = read
        self._keys: set[bytes] = set()
        self._next: asyncio.Future[Rows] | None = None  # the read that has not begun yet
        self._last: asyncio.Future[Rows] | None = None

    async def assignment(self, key: bytes) -> AssignmentRow | None:
        """Returns an assignment as it is stored now; None: there is no such assignment."""
        if len(key) != _LENGTH:
            return None
        self._keys.add(key)
        if self._next is None:
            self._next = self._last = asyncio.ensure_future(self._after(self._last))
        return (await asyncio.shield(self._next)).get(key)

    async def _after(self, last: asyncio.Future[Rows] | None) -> Rows:
        if last is not None:
            await asyncio.wait([last])
        keys, self._keys, self._next = self._keys, set(), None
        return await self._read(keys)
