"""DeviceService as methods."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from functools import partial

from coordinator.engine import streams
from coordinator.engine.core import Core
from coordinator.engine.live import LiveTask, refusal, verdict_of
from coordinator.engine.streams import Contribution
from coordinator.errors import CutOffError, InvalidRequestError, RefusalError, StoppedError, UnknownError
from coordinator.metrics.metrics import timed
from coordinator.model import pace
from coordinator.model.rounds import Effect, Verdict
from fedau2.v1 import device_pb2
from fedau2.v1.device_pb2 import Rejection
from fedau2.v1.task_pb2 import RetryWindow

_REASONS = {
    Verdict.FULL: device_pb2.REJECTION_REASON_ROUND_FULL,
    Verdict.CLOSED: device_pb2.REJECTION_REASON_ROUND_CLOSING,
    Verdict.PAUSED: device_pb2.REJECTION_REASON_PAUSED,
}


class DeviceCalls(Core):
    """What devices call. Refuses a call by raising an `errors.RefusalError`."""

    async def check_in(self, request: device_pb2.CheckInRequest) -> device_pb2.CheckInResponse:
        """DeviceService.CheckIn.

        Raises:
            InvalidRequestError: no population can have this name.
            StoppedError: the coordinator is shutting down.
        """
        with timed(self.metrics.check_in):
            response = await self._check_in(request)
        if response.WhichOneof("result") == "rejection":
            name = device_pb2.RejectionReason.Name(response.rejection.reason)
            self.metrics.rejections.labels(name.removeprefix("REJECTION_REASON_").lower()).inc()
        return response

    async def _check_in(self, request: device_pb2.CheckInRequest) -> device_pb2.CheckInResponse:
        self._writer.check()
        streams.population(request.population)
        if self._draining:
            raise StoppedError("the coordinator is shutting down; try again later", pace.STARTING.message())
        task = self._running.get(request.population)
        if task is None:
            return _rejected(device_pb2.REJECTION_REASON_NO_TASK, self._retry(None, Verdict.UNKNOWN))
        if not task.versions.admits(request.client_version):
            return _rejected(device_pb2.REJECTION_REASON_CLIENT_VERSION, pace.LATER.message())
        assignment_id = secrets.token_bytes(16)
        assignment = task.assignment(assignment_id, self._storage.served.size)  # of this round, whatever comes next
        verdict, effects = task.round.check_in(assignment_id, self._clock())
        if verdict is Verdict.ACCEPTED:
            await self._record(task, effects)
            return device_pb2.CheckInResponse(assignment=assignment)
        retry = self._retry(task, verdict)
        await self._record(task, effects)
        return _rejected(_REASONS[verdict], retry)

    async def fetch_resource(
        self, request: device_pb2.FetchResourceRequest
    ) -> AsyncIterator[device_pb2.FetchResourceResponse]:
        """DeviceService.FetchResource.

        Raises:
            UnknownError: no such blob is served.
            InvalidRequestError: no hash, or an offset beyond the end.
        """
        self._writer.check()
        if len(request.sha256) != 32:
            raise InvalidRequestError("a blob is addressed by a SHA-256 of 32 bytes")
        try:
            size = self._storage.served.size(request.sha256)
        except FileNotFoundError as error:
            name = request.sha256.hex()[:12]
            raise UnknownError(f"no blob {name} is served (any more); check in again") from error
        if request.offset > size:
            raise InvalidRequestError(f"offset {request.offset} lies beyond the blob's {size} bytes")
        for data in self._storage.served.stream(request.sha256, request.offset):
            self.metrics.sent.inc(len(data))
            yield device_pb2.FetchResourceResponse(data=data)

    async def upload_contribution(
        self, requests: AsyncIterator[device_pb2.UploadContributionRequest]
    ) -> device_pb2.UploadContributionResponse:
        """DeviceService.UploadContribution.

        Raises:
            RefusalError: see `errors`; nothing was changed.
        """
        self._writer.check()
        try:
            with timed(self.metrics.upload):
                retry = await self._upload(requests)
        except CutOffError:
            self.metrics.cut_off.inc()
            raise
        except RefusalError as error:
            self.refusals[type(error).__name__] += 1
            self.metrics.refusals.labels(type(error).__name__).inc()
            raise
        return device_pb2.UploadContributionResponse(next_check_in=retry)

    async def _upload(self, requests: AsyncIterator[device_pb2.UploadContributionRequest]) -> RetryWindow:
        header = await streams.upload_header(requests)
        task, verdict = self._with(header.assignment_id), Verdict.UNKNOWN
        if task is not None:
            verdict = task.round.judge(header.assignment_id, header.sha256, self._clock())
            contribution, effects = None, list[Effect]()
            if verdict is Verdict.ACCEPTED:
                contribution = await self._receive(requests, header, task)
                verdict, effects = task.round.report(header.assignment_id, header.sha256, self._clock())
            retry = self._retry(task, verdict)  # of this round, whatever comes next
            await self._settle(task, effects, contribution)
        if verdict is Verdict.UNKNOWN:
            verdict, retry = await self._recall(header.assignment_id, header.sha256)
        if verdict not in (Verdict.ACCEPTED, Verdict.REPEATED):
            raise refusal(verdict, retry)
        return retry

    async def _receive(
        self,
        requests: AsyncIterator[device_pb2.UploadContributionRequest],
        header: device_pb2.UploadHeader,
        task: LiveTask,
    ) -> Contribution:
        # A device that trickles or stalls must not hold memory for longer than its lease, whatever became of the round.
        self.metrics.step(task.row.task_id, header.assignment_id, "u")
        try:
            async with self._deadlines.until(task.round.deadline(header.assignment_id)):
                contribution = await streams.contribution(requests, header, task.spec)
            self.metrics.received.inc(header.size)
            return contribution
        except (RefusalError, asyncio.CancelledError):
            self.metrics.step(task.row.task_id, header.assignment_id, "!")
            raise
        except TimeoutError:
            raise refusal(Verdict.LATE, self._retry(task, Verdict.LATE)) from None

    async def report_failure(self, request: device_pb2.ReportFailureRequest) -> device_pb2.ReportFailureResponse:
        """DeviceService.ReportFailure.

        Raises:
            RefusalError: see `errors`; nothing was changed.
        """
        self._writer.check()
        if task := self._with(request.assignment_id):
            verdict, effects = task.round.fail(request.assignment_id, request.reason, self._clock())
            verdict = Verdict.GIVEN_BACK if verdict is Verdict.ACCEPTED else verdict
            retry = self._retry(task, verdict)
            await self._settle(task, effects)
        else:
            verdict, retry = await self._recall(request.assignment_id, b"")
        if verdict is not Verdict.GIVEN_BACK:
            raise refusal(verdict, retry)
        return device_pb2.ReportFailureResponse(next_check_in=retry)

    def _with(self, assignment_id: bytes) -> LiveTask | None:
        return next((task for task in self._running.values() if assignment_id in task.round), None)

    async def _recall(self, assignment_id: bytes, sha256: bytes) -> tuple[Verdict, RetryWindow]:
        """What the ledger knows of an assignment whose round is over, or never was."""
        row = await self._writer.run(partial(self._storage.assignment, assignment_id))
        if row is None:
            return Verdict.UNKNOWN, self._retry(None, Verdict.UNKNOWN)
        task = self._rows[row.task_id]
        verdict = verdict_of(row, task, sha256)
        return verdict, self._retry(self._running.get(task.population), verdict)

    def _retry(self, task: LiveTask | None, verdict: Verdict) -> RetryWindow:
        now = self._clock()
        if task is None:
            return self._idle.book(now, pace.IDLE, pace.IDLE_RATE).message()
        return task.pace.window(task.round, verdict, now).message()

    async def _settle(
        self, task: LiveTask, effects: Sequence[Effect], contribution: Contribution | None = None
    ) -> None:
        """Returns when everything that a verdict on an assignment rests on is durable, not its own effects only.

        A refusal makes a device throw its contribution away. If the power failed before what refused it was durable,
        that would be for nothing: after the restart the round would be open as before.

        Raises:
            StoppedError: it has not become durable.
        """
        if effects:
            await self._record(task, effects, contribution)
        else:
            await self._writer.run(lambda: None)


def _rejected(reason: device_pb2.RejectionReason.ValueType, retry: RetryWindow) -> device_pb2.CheckInResponse:
    return device_pb2.CheckInResponse(rejection=Rejection(reason=reason, retry=retry))
