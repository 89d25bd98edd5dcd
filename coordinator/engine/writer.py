"""Group commit: one queue, one thread, in order.

The thread owns everything durable. Writes that wait together are committed together. A call runs alone, in its turn. If
anything fails, the writer turns itself off: nothing that was waiting is acknowledged, and a restart recovers.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, cast

from coordinator.errors import StoppedError

_log = logging.getLogger(__name__)

GROUP = 64
"""Most writes of one group."""

LINGER = 0.005
"""Seconds that a group waits to be filled."""

LINGERS = 2
"""Most times that a group waits so long. It waits again only if it has grown meanwhile."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class _Write(Generic[T]):
    item: T
    done: asyncio.Future[None]


@dataclass(frozen=True)
class _Call:
    function: Callable[[], Any]
    done: asyncio.Future[Any]


class Writer(Generic[T]):
    """Commits writes in groups. Made and used on one event loop.

    Args:
        commit: makes a group of writes durable, all or nothing; called on the writing thread.

    Attributes:
        stopped: set once the writer has failed.
        failure: the error at which it failed, or None.
    """

    def __init__(self, commit: Callable[[list[T]], None]) -> None:
        self._commit = commit
        self._queue: deque[_Write[T] | _Call] = deque()
        self._arrived = asyncio.Event()
        self._ready = asyncio.Event()
        self._calls = 0  # in the queue
        self._closing = False
        self.stopped = asyncio.Event()
        self.failure: Exception | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="coordinator-writer")
        self._task = asyncio.get_running_loop().create_task(self._work())

    def __len__(self) -> int:
        return len(self._queue)

    def write(self, item: T) -> asyncio.Future[None]:
        """Queues a write. The future is done when the write is durable.

        Raises:
            StoppedError: the writer has failed or is closed; also through the future.
        """
        done = self._future()
        self._queue.append(_Write(item, done))
        self._signal()
        return done

    def run(self, function: Callable[[], R]) -> asyncio.Future[R]:
        """Queues a call of a function on the writing thread, after every write so far.

        Raises:
            StoppedError: the writer has failed or is closed; also through the future.
        """
        done: asyncio.Future[R] = self._future()
        self._queue.append(_Call(function, done))
        self._calls += 1
        self._signal()
        return done

    def check(self) -> None:
        """Returns if the writer works.

        Raises:
            StoppedError: it has failed or is closed.
        """
        if self.failure is not None:
            raise _stopped(self.failure)
        if self._closing:
            raise StoppedError("the coordinator is shutting down; try again later")

    async def close(self) -> None:
        """Finishes what is queued, then ends the thread."""
        self._closing = True
        self._signal()
        await self._task
        self._thread.shutdown()

    def _future(self) -> asyncio.Future[Any]:
        self.check()
        return asyncio.get_running_loop().create_future()

    def _signal(self) -> None:
        _set(self._arrived, bool(self._queue) or self._closing)
        _set(self._ready, len(self._queue) >= GROUP or self._calls > 0 or self._closing)

    async def _work(self) -> None:
        while await self._wait() and await self._done(self._take()):
            pass  # no group is held in memory in between

    async def _done(self, group: list[_Write[T] | _Call]) -> bool:
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._thread, self._call(group))
        except Exception as error:
            self._fail(error, group)
            return False
        for entry in group:
            if not entry.done.done():  # a caller may have gone away
                entry.done.set_result(result)
        return True

    async def _wait(self) -> bool:
        await self._arrived.wait()
        # A single write is committed soon. Many go in few large groups, because a group costs as much as ten writes.
        for _ in range(LINGERS):
            waiting = len(self._queue)
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    await self._ready.wait()
            if self._ready.is_set() or len(self._queue) == waiting:
                break
        return bool(self._queue)

    def _take(self) -> list[_Write[T] | _Call]:
        group = [self._queue.popleft()]
        if isinstance(group[0], _Write):
            while self._queue and isinstance(self._queue[0], _Write) and len(group) < GROUP:
                group.append(self._queue.popleft())
        else:
            self._calls -= 1
        self._signal()
        return group

    def _call(self, group: list[_Write[T] | _Call]) -> Callable[[], Any]:
        if isinstance(group[0], _Call):
            return group[0].function
        return partial(self._commit, [cast(_Write[T], entry).item for entry in group])

    def _fail(self, error: Exception, group: list[_Write[T] | _Call]) -> None:
        _log.error("writing failed; the coordinator stops", exc_info=error)
        self.failure = error
        for entry in (*group, *self._queue):
            if not entry.done.done():
                entry.done.set_exception(_stopped(error))
                entry.done.exception()  # retrieved, because nobody may be waiting for it
        self._queue.clear()
        self.stopped.set()


def _set(event: asyncio.Event, value: bool) -> None:
    if value:
        event.set()
    else:
        event.clear()


def _stopped(error: Exception) -> StoppedError:
    reason = str(error).partition("\n")[0]
    return StoppedError(
        f"the coordinator has stopped because it could not write ({reason}); what it acknowledged is safe: "
        "repair the cause and start it again"
    )
