"""DeviceService: the methods that devices call."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial

from coordinator.engine import streams
from coordinator.engine.admissions import Admissions
from coordinator.engine.blob_reader import BlobReader
from coordinator.engine.check_ins import CheckIns
from coordinator.engine.durability import Durability
from coordinator.engine.identities import Identities
from coordinator.engine.limited import Limited
from coordinator.engine.receiving import Receiver
from coordinator.engine.reports import Reports
from coordinator.engine.task_table import TaskTable
from coordinator.engine.uploads import Uploads
from coordinator.errors import CutOffError, NoAdmissionError, RefusalError, StoppedError
from coordinator.metrics.metrics import Metrics, timed
from coordinator.model import pace
from coordinator.model.caller import CALLER
from coordinator.model.leases import Answer
from coordinator.model.limits import AddressLimits
from coordinator.model.open_task import OpenTask
from fedau2.v1 import device_pb2
from fedau2.v1.task_pb2 import RetryWindow


class DeviceService:
    """Answers devices on an event loop, whatever the transport. Refuses a call by raising an `errors.RefusalError`.

    Args:
        tasks: the tasks.
        durability: makes the effects of calls durable.
        blobs: the blobs that devices may fetch.
        uploads: the limits of uploads under way.
        metrics: count and time the calls.
        clock: seconds since 1970.
        identities: limit what one identity may do.
        admissions: asked for at check-ins; None: everybody may take part.
        limits: of network addresses; None: there are no limits.

    Attributes:
        limited: is asked by transports whether a caller may call.
        refusals: refused uploads so far, by name of the error.
    """

    def __init__(
        self,
        tasks: TaskTable,
        durability: Durability,
        blobs: BlobReader,
        uploads: Uploads,
        metrics: Metrics,
        clock: Callable[[], float],
        identities: Identities,
        admissions: Admissions | None = None,
        limits: AddressLimits | None = None,
    ) -> None:
        self._tasks = tasks
        self._durability = durability
        self._blobs = blobs
        self._metrics = metrics
        self._clock = clock
        self._idle = pace.Calendar()  # one for all names of populations, which callers choose
        self._uploads = uploads
        self.limited = Limited(AddressLimits() if limits is None else limits, metrics, clock)
        self._receiver = Receiver(uploads, metrics, clock, self.limited)
        self._admissions, self._identities = admissions, identities
        self._check_ins = CheckIns(tasks, durability, blobs, self._retry, clock, admissions)
        self._reports = Reports(tasks, durability, self._retry, clock)
        self._draining = False
        self.refusals: Counter[str] = Counter()

    @property
    def receiving(self) -> int:
        """Contributions that are on their way in."""
        return len(self._uploads)

    @property
    def upload_memory(self) -> dict[str, int]:
        """Bytes of the memory of uploads by use, see `Uploads.memory`."""
        return self._uploads.memory

    def drain(self) -> None:
        """Takes no more check-ins from now on."""
        self._draining = True

    def tick(self, now: float) -> None:
        """Cuts off the uploads whose time is over at `now`, in seconds, and forgets parts that cannot go on."""
        self._uploads.tick(now)
        self._uploads.keep_only(self._reports.live)

    async def check_in(self, request: device_pb2.CheckInRequest) -> device_pb2.CheckInResponse:
        """DeviceService.CheckIn.

        Raises:
            InvalidRequestError: no population can have this name.
            StoppedError: the coordinator is shutting down.
            BusyError: the caller's certificate checks in too often.
        """
        self._identities.expect("check_in", CALLER.get().certificate.encode())
        with timed(self._metrics.check_in):
            self._durability.check()
            streams.population(request.population)
            if self._draining:
                raise StoppedError("the coordinator is shutting down; try again later", pace.STARTING.message())
            response = await self._check_ins.answer(request)
        if response.WhichOneof("result") == "rejection":
            name = device_pb2.RejectionReason.Name(response.rejection.reason)
            self._metrics.rejections.labels(name.removeprefix("REJECTION_REASON_").lower()).inc()
        return response

    async def admit(self, request: device_pb2.AdmitRequest) -> device_pb2.AdmitResponse:
        """DeviceService.Admit, see `Admissions.admit`.

        Raises:
            RefusalError: see `errors`; nothing was changed.
        """
        self._durability.check()
        if self._admissions is None:
            raise NoAdmissionError("this coordinator asks for no admissions; check in without one")
        return await self._admissions.admit(request)

    def fetch_resource(
        self, request: device_pb2.FetchResourceRequest
    ) -> AsyncIterator[device_pb2.FetchResourceResponse]:
        """DeviceService.FetchResource, see `BlobReader.fetch_resource`.

        Raises:
            BusyError: the caller's certificate fetches too often.
        """
        self._identities.expect("fetch", CALLER.get().certificate.encode())
        return self._blobs.fetch_resource(request)

    async def upload_contribution(
        self, requests: AsyncIterator[device_pb2.UploadContributionRequest]
    ) -> device_pb2.UploadContributionResponse:
        """DeviceService.UploadContribution.

        Raises:
            RefusalError: see `errors`; nothing was changed.
        """
        self._durability.check()
        with self._counted(), timed(self._metrics.upload):
            header = await self._receiver.header(requests)
            retry = await self._reports.contribution(header, partial(self._receiver.whole, requests, header))
        return device_pb2.UploadContributionResponse(next_check_in=retry)

    async def upload_part(self, request: device_pb2.UploadPartRequest) -> device_pb2.UploadPartResponse:
        """DeviceService.UploadPart.

        Raises:
            RefusalError: see `errors`; nothing was changed.
        """
        self._durability.check()
        with self._counted():
            header = streams.part_header(request)
            retry = await self._reports.contribution(header, partial(self._receiver.part, request))
        if retry is None:
            return device_pb2.UploadPartResponse(offset=self._receiver.held(header))
        done = device_pb2.UploadContributionResponse(next_check_in=retry)
        return device_pb2.UploadPartResponse(offset=header.size, done=done)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except CutOffError:
            self._metrics.cut_off.inc()
            raise
        except RefusalError as error:
            self.refusals[type(error).__name__] += 1
            self._metrics.refusals.labels(type(error).__name__).inc()
            raise

    async def upload_offset(self, request: device_pb2.UploadOffsetRequest) -> device_pb2.UploadOffsetResponse:
        """DeviceService.UploadOffset. The offset is 0 for an assignment that can bring no contribution any more.

        Raises:
            StoppedError: the coordinator has turned itself off.
        """
        self._durability.check()
        offset = 0
        if self._reports.live(request.assignment_id):
            offset = await self._uploads.offset(request.assignment_id, request.sha256)
        return device_pb2.UploadOffsetResponse(offset=offset)

    async def report_failure(self, request: device_pb2.ReportFailureRequest) -> device_pb2.ReportFailureResponse:
        """DeviceService.ReportFailure.

        Raises:
            RefusalError: see `errors`; nothing was changed.
        """
        self._durability.check()
        return device_pb2.ReportFailureResponse(next_check_in=await self._reports.failure(request))

    def _retry(self, task: OpenTask | None, answer: Answer) -> RetryWindow:
        now = self._clock()
        if task is None:
            return self._idle.book(now, pace.IDLE, pace.IDLE_RATE).message()
        return task.pace.window(task.round, answer, now).message()
