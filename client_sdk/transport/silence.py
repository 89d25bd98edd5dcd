"""Notices transfers in which nothing moves any more, however long they may take as a whole."""

from collections.abc import Callable, Iterator
from threading import Timer
from types import TracebackType

from google.protobuf.message import Message


class Alarm:
    """A block that calls a function if it takes too long. It may be entered many times, one after the other.

    Args:
        seconds: the time that the block may take.
        end: called in another thread when the time is over.

    Attributes:
        rang: True once a block has taken too long.
    """

    def __init__(self, seconds: float, end: Callable[[], object]) -> None:
        self._seconds, self._end = seconds, end
        self.rang = False

    def __enter__(self) -> None:
        self._timer = Timer(self._seconds, self._ring)
        self._timer.daemon = True
        self._timer.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def _ring(self) -> None:
        self.rang = True
        self._end()


class Counted:
    """An iterator over requests that counts those which have been taken.

    Attributes:
        count: number of requests that have been taken.
    """

    def __init__(self, requests: Iterator[Message]) -> None:
        self._requests = requests
        self.count = 0

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        request = next(self._requests)
        self.count += 1
        return request
