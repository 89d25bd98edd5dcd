"""Streams the blobs that devices and operators may fetch."""

from collections.abc import AsyncIterator

from coordinator.engine.durability import Durability
from coordinator.errors import InvalidRequestError, UnknownError
from coordinator.metrics.metrics import Metrics
from coordinator.store.blob_folder import BlobFolder
from fedau2.v1.device_pb2 import FetchResourceRequest, FetchResourceResponse


class BlobReader:
    """Answers FetchResource, which both services have.

    Args:
        served: the blobs that may be fetched.
        durability: is asked whether the coordinator works.
        metrics: count the bytes that are sent.
    """

    def __init__(self, served: BlobFolder, durability: Durability, metrics: Metrics) -> None:
        self._served = served
        self._durability = durability
        self._metrics = metrics

    def size(self, sha256: bytes) -> int:
        """Length of a served blob in bytes."""
        return self._served.size(sha256)

    async def fetch_resource(self, request: FetchResourceRequest) -> AsyncIterator[FetchResourceResponse]:
        """Streams a blob from an offset on.

        Raises:
            UnknownError: no such blob is served.
            InvalidRequestError: the hash does not have 32 bytes, or the offset lies beyond the end.
        """
        self._durability.check()
        if len(request.sha256) != 32:
            raise InvalidRequestError("a blob is addressed by a SHA-256 of 32 bytes")
        try:
            size = self._served.size(request.sha256)
        except FileNotFoundError as error:
            name = request.sha256.hex()[:12]
            raise UnknownError(f"no blob {name} is served (any more); check in again") from error
        if request.offset > size:
            raise InvalidRequestError(f"offset {request.offset} lies beyond the blob's {size} bytes")
        for data in self._served.stream(request.sha256, request.offset):
            self._metrics.sent.inc(len(data))
            yield FetchResourceResponse(data=data)
