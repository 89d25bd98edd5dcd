"""The order of the work: the books are used in one thread, and what takes long and needs no books is done beside it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

from unmasker.engine.unmasker import Unmasker
from unmasker.errors import BusyError

_WAITING = 512
"""Most calls that may wait for their turn. Others are refused as busy."""

_T = TypeVar("_T")


class Turns:
    """Does the unmasker's work, in one thread with the books and in one beside it.

    Args:
        unmasker: the unmasker; `close` does not close it.
    """

    def __init__(self, unmasker: Unmasker) -> None:
        self.unmasker = unmasker
        self._thread, self._beside = ThreadPoolExecutor(1, "unmasker"), ThreadPoolExecutor(1, "sums")
        self._waiting, self._closed = 0, False

    async def take(self, work: Callable[[], _T]) -> _T:
        """Does a piece of work with the books to its end, even if the call that asked for it is cancelled.

        Raises:
            BusyError: too many wait, or the unmasker stops.
        """
        if self._closed or self._waiting >= _WAITING:
            raise BusyError("the unmasker stops, or too many calls wait: call again later")
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    async def take_beside(self, work: Callable[[Callable[[], None]], _T]) -> _T:
        """Does a piece of work that needs no books, until the call that asked for it is cancelled.

        Args:
            work: is given a function that it calls now and then, and that raises `BusyError` when it is to end.

        Raises:
            BusyError: the unmasker stops.
        """
        ended = Event()

        def check() -> None:
            if ended.is_set() or self._closed:
                raise BusyError("the unmasker stops, or the call was cancelled: call again later")

        check()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._beside, work, check)
        finally:
            ended.set()

    def close(self) -> None:
        """Waits for the work under way, and takes no more."""
        self._closed = True
        self._beside.shutdown()
        self._thread.shutdown()

    def _done(self, future: "asyncio.Future[_T]") -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # or asyncio would complain where the call that asked is gone
