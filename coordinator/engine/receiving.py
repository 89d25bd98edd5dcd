"""Receives contributions: whole ones as a stream of requests, and parts in one request each."""

import asyncio
from collections.abc import AsyncIterator, Callable

from coordinator.engine import streams
from coordinator.engine.limited import Limited
from coordinator.engine.uploads import Uploads
from coordinator.errors import BusyError, CutOffError, RefusalError, WrongOffsetError
from coordinator.metrics.metrics import Metrics
from coordinator.model import pace
from coordinator.model.open_task import OpenTask
from coordinator.model.task import Contribution
from fedau2.v1.device_pb2 import UploadContributionRequest, UploadHeader, UploadPartRequest

Requests = AsyncIterator[UploadContributionRequest]


class Receiver:
    """Receives the contributions of assignments whose leases are live.

    Args:
        uploads: the limits of uploads under way.
        metrics: count bytes, and note the steps of sessions.
        clock: seconds since 1970.
        limited: the limits of network addresses.
    """

    def __init__(self, uploads: Uploads, metrics: Metrics, clock: Callable[[], float], limited: Limited) -> None:
        self._uploads = uploads
        self._metrics = metrics
        self._clock = clock
        self._limited = limited

    async def header(self, requests: Requests) -> UploadHeader:
        """Reads the header of an upload.

        Raises:
            InvalidRequestError: the upload does not begin with a complete header.
            CutOffError: it did not come in time.
        """
        async with self._uploads.header(self._clock()):
            return await streams.upload_header(requests)

    async def whole(self, requests: Requests, header: UploadHeader, task: OpenTask) -> Contribution:
        """Reads the rest of an upload.

        Raises:
            TimeoutError: the lease is over.
            RefusalError: see `errors`; the bytes of an upload that was cut off are kept.
        """
        self._metrics.step(task.task_id, header.assignment_id, "u")
        contribution = await self._read(requests, header, header.size, task, task.round.deadline(header.assignment_id))
        if contribution is None:
            self._metrics.step(task.task_id, header.assignment_id, "!")
            text = f"the upload ended before its {header.size} bytes had arrived; send it again"
            raise CutOffError(text, pace.STARTING.message())
        return contribution

    async def part(self, request: UploadPartRequest, task: OpenTask) -> Contribution | None:
        """Takes the part of a contribution that is not held yet.

        An upload of the assignment that is under way is cut off.

        Returns:
            The contribution if it is whole now; None if the part is held, and more must come.

        Raises:
            TimeoutError: the lease is over.
            WrongOffsetError: the bytes before the part are not held.
            BusyError: there is no room to hold the part.
            RefusalError: see `errors`.
        """
        header, end = request.header, request.header.offset + len(request.data)
        deadline = task.round.deadline(header.assignment_id)  # the round may be over after the next await
        held = await self._uploads.offset(header.assignment_id, header.sha256)
        if held < header.offset:
            raise WrongOffsetError(f"only {held} bytes before the part's offset {header.offset} are held; begin at 0")
        if held >= end:
            return None
        if not held:
            self._metrics.step(task.task_id, header.assignment_id, "u")
        new = request.data[held - header.offset :]
        rest = UploadHeader(assignment_id=header.assignment_id, size=header.size, sha256=header.sha256, offset=held)
        contribution = await self._read(_once(new), rest, end, task, deadline)
        if contribution is None and self.held(header) < end:
            raise BusyError("there is no room to hold a part of an upload; try again later", pace.STARTING.message())
        return contribution

    def held(self, header: UploadHeader) -> int:
        """Number of a contribution's first bytes that are held between calls."""
        return self._uploads.held(header.assignment_id, header.sha256)

    async def _read(
        self, requests: Requests, header: UploadHeader, size: int, task: OpenTask, deadline: float
    ) -> Contribution | None:
        # A device that trickles or stalls must not hold memory for longer than its lease, whatever became of the round.
        room = min(size, task.spec.largest)
        try:
            with self._limited.upload(room):
                async with self._uploads.body(header, room, self._clock(), deadline) as assembler:
                    moving = self._uploads.moving(requests, self._clock)
                    contribution = await streams.contribution(moving, assembler, task.spec)
        except (RefusalError, asyncio.CancelledError):
            self._metrics.step(task.task_id, header.assignment_id, "!")
            raise
        if contribution is not None:
            self._metrics.received.inc(header.size)
        return contribution


async def _once(data: bytes) -> Requests:
    yield UploadContributionRequest(data=data)
