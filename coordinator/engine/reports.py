"""Answers devices' reports: a contribution, or a place that is given back, for the open round or a past one."""

from collections.abc import Awaitable, Callable

from coordinator.engine.durability import Durability
from coordinator.engine.recall import Recall
from coordinator.engine.refusals import answer_of, refusal
from coordinator.engine.task_table import TaskTable
from coordinator.errors import InvalidContributionError
from coordinator.model import pace
from coordinator.model.effects import Effect
from coordinator.model.leases import Answer
from coordinator.model.open_task import OpenTask
from coordinator.model.round_machine import RoundMachine
from coordinator.model.task import Contribution
from fedau2.v1.device_pb2 import ReportFailureRequest, UploadHeader
from fedau2.v1.task_pb2 import RetryWindow
from fedau2.wire import contributions
from fedau2.wire.errors import ContributionError
from fedau2.wire.secure.masked import Masked

Receive = Callable[[OpenTask], Awaitable[Contribution | None]]
"""Receives a contribution; None: it is not whole yet. Raises a `TimeoutError` at the end of its lease."""

Retry = Callable[[OpenTask | None, Answer], RetryWindow]
"""Gives the time at which a device should come back."""


Decision = tuple[Answer, list[Effect]]
"""The answer of a round to a report, and its effects."""


class Reports:
    """Takes the reports of devices. Used on one event loop.

    Args:
        tasks: the tasks.
        durability: makes the effects of reports durable.
        retry: gives the time at which a device should come back.
        clock: seconds since 1970.
    """

    def __init__(self, tasks: TaskTable, durability: Durability, retry: Retry, clock: Callable[[], float]) -> None:
        self._tasks, self._durability, self._retry, self._clock = tasks, durability, retry, clock
        self._past = Recall(durability.recall)

    def live(self, assignment_id: bytes) -> bool:
        """Returns whether an assignment may still bring a contribution."""
        task = self._tasks.holder(assignment_id)
        return task is not None and self._judged(task, assignment_id) in (Answer.ACCEPTED, Answer.CLOSING)

    async def contribution(self, header: UploadHeader, receive: Receive) -> RetryWindow | None:
        """Acknowledges a contribution, or refuses it; None: what was received does not make it whole.

        Raises:
            RefusalError: see `errors`; nothing was changed.
        """
        key, judged, contribution = header.assignment_id, Answer.UNKNOWN, None
        if (task := await self._holder(key)) is not None:
            judged = self._judged(task, key, header.sha256)
        if task is not None and judged is Answer.ACCEPTED:
            number = self._tasks.row(task.task_id).given_round  # another round may be open after the next await
            try:
                contribution = await receive(task)
            except TimeoutError:
                raise refusal(Answer.LATE, self._retry(task, Answer.LATE)) from None
            if contribution is None:
                return None
            _expect_round(task, contribution, number)

        def decide(round: RoundMachine) -> Decision:
            return (judged, []) if contribution is None else round.report(key, header.sha256, self._clock())

        answer, retry = await self._decided(key, header.sha256, decide, contribution)
        if answer not in (Answer.ACCEPTED, Answer.REPEATED):
            raise refusal(answer, retry)
        return retry

    async def failure(self, request: ReportFailureRequest) -> RetryWindow:
        """Takes a place back.

        Raises:
            RefusalError: see `errors`; nothing was changed.
        """

        def decide(round: RoundMachine) -> Decision:
            answer, effects = round.fail(request.assignment_id, request.reason, self._clock())
            return Answer.GIVEN_BACK if answer is Answer.ACCEPTED else answer, effects

        answer, retry = await self._decided(request.assignment_id, b"", decide)
        if answer is not Answer.GIVEN_BACK:
            raise refusal(answer, retry)
        return retry

    async def _decided(
        self,
        key: bytes,
        sha256: bytes,
        decide: Callable[[RoundMachine], Decision],
        contribution: Contribution | None = None,
    ) -> tuple[Answer, RetryWindow]:
        """Lets the open round decide, and the next one if it closes at that moment; or the ledger for a past round."""
        while (task := await self._holder(key)) is not None:
            answer, effects = decide(task.round)
            if answer is Answer.CLOSING:
                await self._durability.settle(task, effects)
                continue
            retry = self._retry(task, answer)  # of this round, whatever comes next
            await self._durability.settle(task, effects, contribution)
            return answer, retry
        return await self._recall(key, sha256)

    async def _holder(self, assignment_id: bytes) -> OpenTask | None:
        """Returns the task whose open round has an assignment, once no commit is under way that it outlives."""
        while (task := self._tasks.holder(assignment_id)) is not None:
            if self._judged(task, assignment_id) is not Answer.CLOSING:
                break
            await self._durability.written()
        return task

    def _judged(self, task: OpenTask, assignment_id: bytes, sha256: bytes = b"") -> Answer:
        return task.round.judge(assignment_id, sha256, self._clock())

    async def _recall(self, assignment_id: bytes, sha256: bytes) -> tuple[Answer, RetryWindow]:
        """Answers from the ledger, for an assignment whose round is over or that never was."""
        assignment = await self._past.assignment(assignment_id)
        if assignment is None:
            return Answer.UNKNOWN, pace.STRANGER.message()
        row = self._tasks.row(assignment.task_id)
        open_task = self._tasks.open_task(assignment.task_id)
        answer = answer_of(assignment, row, sha256, open_task.spec.rule.most_stale if open_task else 0)
        return answer, self._retry(self._tasks.open_task_of(row.population), answer)


def _expect_round(task: OpenTask, contribution: Contribution, number: int) -> None:
    """Checks that a contribution which can be read fits its round.

    Raises:
        InvalidContributionError: it does not.
    """
    if isinstance(contribution.content, Masked):
        return
    try:
        contributions.check_round(task.spec.manifest, contribution.content, number)
    except ContributionError as error:
        raise InvalidContributionError(f"the contribution was refused: {error}") from error
