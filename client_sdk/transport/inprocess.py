"""The way to a coordinator in the same process: the same messages, without gRPC. For fleets and tests."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

from client_sdk.transport import upload
from fedau2.v1 import device_pb2


class Service(Protocol):
    """A coordinator's service object. It refuses a call by raising a `StatusError`."""

    async def check_in(self, request: device_pb2.CheckInRequest) -> device_pb2.CheckInResponse:
        """DeviceService.CheckIn."""

    def fetch_resource(
        self, request: device_pb2.FetchResourceRequest
    ) -> AsyncIterator[device_pb2.FetchResourceResponse]:
        """DeviceService.FetchResource."""

    async def upload_contribution(
        self, requests: AsyncIterator[device_pb2.UploadContributionRequest]
    ) -> device_pb2.UploadContributionResponse:
        """DeviceService.UploadContribution."""

    async def report_failure(self, request: device_pb2.ReportFailureRequest) -> device_pb2.ReportFailureResponse:
        """DeviceService.ReportFailure."""


class InProcessTransport:
    """`contracts.AsyncTransport` straight into a service object."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def check_in(self, request: device_pb2.CheckInRequest) -> device_pb2.CheckInResponse:
        """DeviceService.CheckIn."""
        return await self._service.check_in(request)

    async def fetch(self, request: device_pb2.FetchResourceRequest) -> AsyncGenerator[bytes, None]:
        """DeviceService.FetchResource: the data of each response."""
        async for response in self._service.fetch_resource(request):
            yield response.data

    async def upload(self, header: device_pb2.UploadHeader, data: bytes) -> device_pb2.UploadContributionResponse:
        """DeviceService.UploadContribution."""
        return await self._service.upload_contribution(_requests(header, data))

    async def report_failure(self, request: device_pb2.ReportFailureRequest) -> device_pb2.ReportFailureResponse:
        """DeviceService.ReportFailure."""
        return await self._service.report_failure(request)


async def _requests(
    header: device_pb2.UploadHeader, data: bytes
) -> AsyncIterator[device_pb2.UploadContributionRequest]:
    for request in upload.requests(header, data):
        yield request
