"""The newest head of the unmasker's log. It is shown to the unmasker, which notices by it what it has lost."""

import asyncio

from coordinator.engine.durability import Durability
from fedau2.v1.unmasker_pb2 import LogHead


class SeenHead:
    """Keeps the newest head. Used on one event loop.

    Args:
        durability: stores it.

    Attributes:
        head: the head; None: none was seen, or it was not read yet.
        lock: held from the reading of a head to the keeping of the next one.
    """

    def __init__(self, durability: Durability) -> None:
        self._durability, self._known = durability, False
        self.head: LogHead | None = None
        self.lock = asyncio.Lock()

    async def newest(self, identity: bytes) -> LogHead | None:
        """Returns the newest head of an unmasker's log; None: none was seen."""
        if not self._known:
            data = await self._durability.seen(identity)
            self.head, self._known = LogHead.FromString(data) if data else None, True
        return self.head

    async def keep(self, identity: bytes, head: LogHead) -> None:
        """Stores the newest head of an unmasker's log."""
        if head != self.head:
            await self._durability.see(identity, head.SerializeToString(deterministic=True))
            self.head = head
