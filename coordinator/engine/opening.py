"""Brings rounds with secure sums forward: fetches their keys, and has their sums opened.

It gives up no round that the unmasker may still open. A round whose key is gone is skipped.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress

from coordinator.engine.durability import Durability
from coordinator.engine.hidden_rounds import Answer
from coordinator.engine.hidden_tasks import is_hidden
from coordinator.engine.seen_head import SeenHead
from coordinator.engine.task_table import TaskTable
from coordinator.engine.unmasking import HiddenRound, Refused, Unmasker
from coordinator.engine.watchers import Watchers
from coordinator.errors import BlobLostError, StoppedError, UnmaskerError
from coordinator.model import uncounted
from coordinator.model.open_task import OpenTask
from coordinator.model.round_machine import RoundMachine
from coordinator.store.blob_folder import BlobFolder
from coordinator.store.task_rows import TaskRow
from fedau2.v1.admin_pb2 import ROUND_STATE_COLLECTING, ROUND_STATE_OPENING
from fedau2.v1.unmasker_pb2 import LogHead, SignedRoundKey

_log = logging.getLogger(__name__)

FIRST, LONGEST = 0.5, 60.0
"""Seconds from a call to the unmasker that failed to the next; they double from the first to the longest."""

AGAIN = 60.0
"""Seconds from one question for the key of a collecting round to the next: it changes if the unmasker is restored."""

_OTHER_KEY = "the unmasker was restored: what was sealed to the round's key before is never opened"
"""Why a round is skipped whose contributions nobody can open any more."""

_QUIET = 60.0
"""Fewest seconds between two lines of the log about a task."""

ASKED = "the unmasker was asked to open the sum, and has not answered yet"
"""The text of the status meanwhile, if no call failed before."""


class Opener:
    """Looks after the open tasks with secure sums. Used on one event loop.

    Args:
        unmasker: opens sums; None: nobody does, and such tasks wait.
        tasks: the tasks.
        durability: makes what the unmasker answers durable.
        watchers: wake it when a round changes.
        served: holds the manifests.
        clock: seconds since 1970.

    Attributes:
        seen: the newest head of the unmasker's log; None: none was seen.
    """

    def __init__(
        self,
        unmasker: Unmasker | None,
        tasks: TaskTable,
        durability: Durability,
        watchers: Watchers,
        served: BlobFolder,
        clock: Callable[[], float],
    ) -> None:
        self._unmasker, self._tasks, self._durability = unmasker, tasks, durability
        self._watchers, self._served, self._clock = watchers, served, clock
        self._following: set[asyncio.Task[None]] = set()
        self._keyed: dict[str, HiddenRound] = {}
        self._logged: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._seen = SeenHead(durability)

    @property
    def seen(self) -> LogHead | None:
        """The newest head of the unmasker's log; None: none was seen."""
        return self._seen.head

    def follow(self, task: OpenTask) -> None:
        """Looks after an open task until it is over. A task without secure sums needs nothing."""
        if not task.spec.hidden:
            return
        if self._unmasker is None or self._unmasker.identity not in task.spec.manifest.secure_sums.unmaskers:
            task.opening_error = "this coordinator does not work with the task's unmasker: see the setting `unmasker`"
            _log.error("task %s waits: %s", task.task_id, task.opening_error)
            return
        self._begin(self._follow(task, self._unmasker))

    def tidy(self, rows: Iterable[TaskRow]) -> None:
        """Has the keys of tasks deleted that are over: the coordinator may have been killed just before it did so."""
        over = [row for row in rows if not row.open and is_hidden(row.task_id)]
        if self._unmasker is not None and over:
            self._begin(self._tidy(over, self._unmasker))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        following = asyncio.get_running_loop().create_task(work)
        self._following.add(following)
        following.add_done_callback(self._following.discard)

    async def close(self) -> None:
        """Ends all calls."""
        for following in self._following:
            following.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        if self._unmasker is not None:
            await self._unmasker.close()

    async def _follow(self, task: OpenTask, unmasker: Unmasker) -> None:
        pause = FIRST
        with suppress(StoppedError):
            while (is_open := self._is_open(task)) or task.task_id in self._keyed:
                change, round = self._watchers.next_change(task.task_id), task.round
                try:
                    await self._close_last(task, unmasker)
                    if is_open:
                        await self._step(task, unmasker)
                    task.opening_error, pause, wait = "", FIRST, AGAIN if is_open else None
                except (UnmaskerError, BlobLostError) as error:
                    self._failed(task, error)
                    await self._skip_if_lost(task, round, error)
                    pause, wait = min(2 * pause, LONGEST), pause
                if is_open or wait is not None:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(wait):  # unlike wait_for, it never swallows that it is cancelled
                            await change.wait()

    async def _tidy(self, rows: Sequence[TaskRow], unmasker: Unmasker) -> None:
        left, pause = list(rows), FIRST
        while left:
            try:
                await unmasker.close_round(bytes.fromhex(left[-1].task_id), left[-1].given_round)
                left.pop()
            except UnmaskerError:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST)

    def _is_open(self, task: OpenTask) -> bool:
        return self._tasks.open_task(task.task_id) is task

    def _failed(self, task: OpenTask, error: Exception) -> None:
        task.opening_error = str(error)
        now = self._clock()
        if now >= self._logged.get(task.task_id, -math.inf) + _QUIET:
            self._logged[task.task_id] = now
            _log.warning("task %s waits for the unmasker: %s", task.task_id, error)

    async def _skip_if_lost(self, task: OpenTask, round: RoundMachine, error: Exception) -> None:
        """Skips a round if nothing that was sealed to its key can be opened any more."""
        waits = task.round is round and round.state in (ROUND_STATE_COLLECTING, ROUND_STATE_OPENING)
        if isinstance(error, UnmaskerError) and error.loses_round and self._is_open(task) and waits:
            await self._durability.skip(task, str(error))

    async def _close_last(self, task: OpenTask, unmasker: Unmasker) -> None:
        """Has the key of a round deleted that is over."""
        last = self._keyed.get(task.task_id)
        if last is not None and not (self._is_open(task) and self._number(task) == last.number):
            await unmasker.close_round(last.task_id, last.number)
            del self._keyed[task.task_id]

    async def _step(self, task: OpenTask, unmasker: Unmasker) -> None:
        round, asked = task.round, self._asked.get(task.task_id, -math.inf)
        if round.state == ROUND_STATE_COLLECTING and (round.locked or self._clock() >= asked + AGAIN):
            await self._key(task, round, unmasker)
        # The key is asked for again before a sum is opened: an unmasker that was restored has another one.
        elif round.state == ROUND_STATE_OPENING and (keyed := await self._key(task, round, unmasker)):
            await self._open(task, round, unmasker, *keyed)

    async def _key(
        self, task: OpenTask, round: RoundMachine, unmasker: Unmasker
    ) -> tuple[HiddenRound, SignedRoundKey] | None:
        """Fetches the key of a task's open round; returns None if another round is open meanwhile, or has to be."""
        row = self._tasks.row(task.task_id)
        manifest = await asyncio.to_thread(self._served.get, row.manifest)
        number, task_id = row.given_round, bytes.fromhex(row.task_id)
        hidden = HiddenRound(task_id, number, manifest, row.checkpoint, task.spec.manifest)
        self._keyed[task.task_id] = hidden
        async with self._seen.lock:
            key, head = await unmasker.open_round(hidden, await self._seen.newest(unmasker.identity))
            await self._seen.keep(unmasker.identity, head)
        self._asked[task.task_id] = self._clock()
        if task.round is not round:
            return None
        data = key.SerializeToString(deterministic=True)
        if task.round_key not in (b"", data):
            await self._durability.skip(task, _OTHER_KEY)
            return None
        task.unlock(data)
        return hidden, key

    async def _open(
        self, task: OpenTask, round: RoundMachine, unmasker: Unmasker, hidden: HiddenRound, key: SignedRoundKey
    ) -> None:
        while _waits(task, round):
            frozen = await self._durability.frozen(task)
            answer = await self._answer(task, round, unmasker.open_sum(hidden, key, frozen))
            if answer is None or not _waits(task, round):
                return
            if isinstance(answer, Answer):
                self._durability.opened(task, answer)
                return
            _log_refusals(task.task_id, len(answer), len(frozen.members))
            if len(answer) == len(frozen.members):  # in a round of the same number these devices may not come again
                await self._durability.skip(task, _OTHER_KEY)
                return
            await self._durability.record(task, round.refuse(answer, self._clock()))

    async def _answer(
        self, task: OpenTask, round: RoundMachine, call: Coroutine[None, None, Answer | Refused]
    ) -> Answer | Refused | None:
        """Waits for an answer; returns None, and ends the call, when the round waits no more: a call may stall."""
        task.opening_error = task.opening_error or ASKED
        answer = asyncio.ensure_future(call)
        try:
            while _waits(task, round) and not answer.done():
                change = asyncio.ensure_future(self._watchers.next_change(task.task_id).wait())
                try:
                    await asyncio.wait([answer, change], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    change.cancel()
            return answer.result() if answer.done() else None
        finally:
            answer.cancel()

    def _number(self, task: OpenTask) -> int:
        return self._tasks.row(task.task_id).given_round


def _waits(task: OpenTask, round: RoundMachine) -> bool:
    """Returns True if a round waits for its sum: it was not skipped or put back, and its task is not over."""
    return task.round is round and round.state == ROUND_STATE_OPENING


def _log_refusals(task_id: str, refused: int, members: int) -> None:
    if uncounted.are_many(refused, members):
        _log.error(
            "task %s: the unmasker refuses %d of %d contributions, more than a tenth: ask its operator why, since an "
            "unmasker that lies chooses in this way who counts",
            task_id,
            refused,
            members,
        )
    else:
        _log.warning("task %s: the unmasker does not count %d of %d contributions", task_id, refused, members)
