"""Room for requests that are read, or wait for their turn: a bound on the memory that they take."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from fedau2.v1.unmasker_pb2 import OpenSumRequest
from unmasker.errors import BusyError


class Room:
    """Room for so many calls, and for so many bytes of all of them together. Used on one event loop.

    Args:
        calls: most calls.
        size: most bytes, as the messages travel.
    """

    def __init__(self, calls: int, size: int) -> None:
        self._calls, self._left = calls, size

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """Gives a call a place until it ends.

        Raises:
            BusyError: every place is taken.
        """
        if not self._calls:
            raise BusyError("too many calls wait to open a sum: call again later")
        self._calls -= 1
        place = Place(self)
        try:
            yield place
        finally:
            self._calls += 1
            self._left += place.size

    def take(self, size: int) -> None:
        """Takes bytes, which the end of the call's place gives back.

        Raises:
            BusyError: there are not so many.
        """
        if size > self._left:
            raise BusyError("the requests under way fill the memory that there is for them: call again later")
        self._left -= size


class Place:
    """The place of one call.

    Args:
        room: where it is.

    Attributes:
        size: bytes that were taken for the call.
    """

    def __init__(self, room: Room) -> None:
        self._room, self.size = room, 0

    async def counted(self, messages: AsyncIterator[OpenSumRequest]) -> AsyncIterator[OpenSumRequest]:
        """Yields the messages of the call, each when its bytes have been taken.

        Raises:
            BusyError: there is no room for the next one.
        """
        async for message in messages:
            size = message.ByteSize()
            self._room.take(size)
            self.size += size
            yield message
