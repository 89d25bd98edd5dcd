"""Answers check-ins: with a place in the open round, or with the reason why there is no place."""

import secrets
from collections.abc import Callable

from coordinator.engine import admissions as issuing
from coordinator.engine import messages
from coordinator.engine.admissions import Admissions
from coordinator.engine.blob_reader import BlobReader
from coordinator.engine.durability import Durability
from coordinator.engine.task_table import TaskTable
from coordinator.model import pace
from coordinator.model.effects import Effect
from coordinator.model.leases import Answer
from coordinator.model.open_task import OpenTask
from fedau2.v1 import device_pb2
from fedau2.v1.task_pb2 import RetryWindow

Retry = Callable[[OpenTask | None, Answer], RetryWindow]
"""Gives the time at which a device should come back."""

_REASONS = {
    Answer.FULL: device_pb2.REJECTION_REASON_ROUND_FULL,
    Answer.CLOSED: device_pb2.REJECTION_REASON_ROUND_CLOSING,
    Answer.PAUSED: device_pb2.REJECTION_REASON_PAUSED,
    Answer.SPENT: device_pb2.REJECTION_REASON_ADMISSION_SPENT,
}


class CheckIns:
    """Answers check-ins.

    Args:
        tasks: the tasks.
        durability: makes places durable.
        blobs: knows the sizes of blobs.
        retry: gives the time at which a device should come back.
        clock: seconds since 1970.
        admissions: asked for; None: everybody may take part.
    """

    def __init__(
        self,
        tasks: TaskTable,
        durability: Durability,
        blobs: BlobReader,
        retry: Retry,
        clock: Callable[[], float],
        admissions: Admissions | None,
    ) -> None:
        self._tasks, self._durability, self._blobs = tasks, durability, blobs
        self._retry, self._clock, self._admissions = retry, clock, admissions

    async def answer(self, request: device_pb2.CheckInRequest) -> device_pb2.CheckInResponse:
        """Answers a check-in of a population that there can be.

        Raises:
            StoppedError: the coordinator has turned itself off.
        """
        task = self._tasks.open_task_of(request.population)
        newest = self._newest(request.population)
        if task is None:
            retry = self._retry(None, Answer.UNKNOWN)
            return messages.rejected(device_pb2.REJECTION_REASON_NO_TASK, retry, newest)
        if not task.versions.admits(request.client_version):
            return messages.rejected(device_pb2.REJECTION_REASON_CLIENT_VERSION, pace.LATER.message())
        if request.without_place:
            return messages.rejected(device_pb2.REJECTION_REASON_NO_PLACE_WANTED, pace.LATER.message(), newest)
        if task.spec.hidden and not request.enrolled:
            retry = self._retry(task, Answer.FULL)
            return messages.rejected(device_pb2.REJECTION_REASON_ENROLMENT_NEEDED, retry, newest)
        if self._admissions is None:
            return await self._place(task, b"", [])
        key = await self._admissions.key(task)
        admission = self._admissions.spent_by(request.admission, key)
        answer, effects = task.round.offer(self._clock(), admission)
        if admission or answer is not Answer.ACCEPTED:
            return await self._place(task, admission, effects)
        await self._durability.record(task, effects)
        retry = self._retry(task, Answer.UNADMITTED)
        needed = messages.rejected(
            device_pb2.REJECTION_REASON_ADMISSION_NEEDED, retry, self._newest(request.population)
        )
        needed.rejection.admission.CopyFrom(issuing.message(key))
        return needed

    async def _place(self, task: OpenTask, admission: bytes, before: list[Effect]) -> device_pb2.CheckInResponse:
        """Gives a device a place in the open round, or says why it gets no place.

        Args:
            task: the round's.
            admission: the hash of a valid admission; empty: none is asked for.
            before: effects that are not durable yet.
        """
        assignment_id = secrets.token_bytes(16)
        # The message is of this round, whatever comes next.
        row, now = self._tasks.row(task.task_id), self._clock()
        assignment = messages.assignment(row, task, assignment_id, self._blobs.size)
        answer, effects = task.round.check_in(assignment_id, now, admission)
        effects = [*before, *effects]
        if answer is Answer.HELD:  # its answer did not arrive
            assignment.assignment_id = task.round.place(admission)
            left = task.round.deadline(assignment.assignment_id) - now
            assignment.lease.CopyFrom(pace.duration(left))
        if answer in (Answer.ACCEPTED, Answer.HELD):
            await self._durability.settle(task, effects)
            return device_pb2.CheckInResponse(assignment=assignment)
        # A spent admission books no slot: its device may show it any number of times.
        retry = self._retry(task, Answer.REPEATED if answer is Answer.SPENT else answer)
        await self._durability.record(task, effects)
        return messages.rejected(_REASONS[answer], retry, self._newest(task.population))

    def _newest(self, population: str) -> device_pb2.ModelVersion | None:
        row = self._tasks.newest_of(population)
        return None if row is None else messages.newest_model(row, self._blobs.size)
