"""An upload as the messages of UploadContribution."""

from collections.abc import Iterator

from fedau2.v1.device_pb2 import UploadContributionRequest, UploadHeader
from fedau2.wire import blobs


def requests(header: UploadHeader, data: bytes) -> Iterator[UploadContributionRequest]:
    """The header, then the data in pieces of at most `blobs.CHUNK` bytes."""
    yield UploadContributionRequest(header=header)
    for chunk in blobs.chunks(data):
        yield UploadContributionRequest(data=chunk)
