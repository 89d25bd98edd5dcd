"""Streams the blobs that devices and operators may fetch."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing, contextmanager

from coordinator.engine.durability import Durability
from coordinator.errors import BusyError, InvalidRequestError, UnknownError
from coordinator.metrics.metrics import Metrics
from coordinator.model import pace
from coordinator.store.blob_folder import BlobFolder
from coordinator.store.disk import TOO_MANY_FILES
from fedau2.v1.device_pb2 import FetchResourceRequest, FetchResourceResponse

MOST = 1000
"""Most fetches under way. One that a device does not read holds a few pieces of its blob in memory."""


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
        self._under_way = 0

    def size(self, sha256: bytes) -> int:
        """Length of a served blob in bytes."""
        return self._served.size(sha256)

    async def read(self, sha256: bytes) -> bytes:
        """Reads a whole blob, which is small.

        Raises:
            UnknownError: no such blob is served.
        """
        try:
            return await asyncio.to_thread(self._served.get, sha256)
        except FileNotFoundError as error:
            raise _unserved(sha256) from error

    async def fetch_resource(self, request: FetchResourceRequest) -> AsyncGenerator[FetchResourceResponse, None]:
        """Streams a blob from an offset on.

        Raises:
            UnknownError: no such blob is served.
            InvalidRequestError: the hash does not have 32 bytes, or the offset lies beyond the end.
            BusyError: too many fetches are under way, or too many files are open.
        """
        self._durability.check()
        if len(request.sha256) != 32:
            raise InvalidRequestError("a blob is addressed by a SHA-256 of 32 bytes")
        try:
            size = self._served.size(request.sha256)
        except FileNotFoundError as error:
            raise _unserved(request.sha256) from error
        if request.offset > size:
            raise InvalidRequestError(f"offset {request.offset} lies beyond the blob's {size} bytes")
        with self._place(), closing(self._served.stream(request.sha256, request.offset)) as pieces:
            for data in pieces:
                self._metrics.sent.inc(len(data))
                yield FetchResourceResponse(data=data)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._under_way >= MOST:
            raise BusyError("too many fetches are under way; try again later", pace.STARTING.message())
        self._under_way += 1
        try:
            yield
        except OSError as error:
            if error.errno not in TOO_MANY_FILES:
                raise
            raise BusyError("too many connections are open; try again later", pace.STARTING.message()) from error
        finally:
            self._under_way -= 1


def _unserved(sha256: bytes) -> UnknownError:
    return UnknownError(f"no blob {sha256.hex()[:12]} is served (any more); check in again")
