"""The messages of transfers, for drivers."""

from collections.abc import Iterator

from google.protobuf.message import Message

from client_sdk.protocol import contributing
from client_sdk.protocol.wishes import Fetch
from fedau2.v1.device_pb2 import FetchResourceRequest, FetchResourceResponse, UploadContributionRequest, UploadHeader
from fedau2.wire.errors import BlobError


def missing(wish: Fetch) -> FetchResourceRequest | None:
    """Returns the request for what is missing of a blob; None: nothing is."""
    if wish.into.size == wish.resource.size:
        return None
    return FetchResourceRequest(sha256=wish.resource.sha256, offset=wish.into.size)


def part(response: Message) -> bytes:
    """Returns the bytes of an answer to `FetchResourceRequest`.

    Raises:
        BlobError: it has no bytes.
    """
    assert isinstance(response, FetchResourceResponse)  # transports take the class from the service's descriptor
    if not response.data:
        raise BlobError("a piece of a blob has no bytes")  # so that no stream goes on without end
    return response.data


def requests(header: UploadHeader, data: bytes) -> Iterator[UploadContributionRequest]:
    """Yields the requests of an upload: the header, then the contribution from the header's offset on."""
    yield UploadContributionRequest(header=header)
    piece = contributing.PIECE
    for start in range(header.offset, len(data), piece):
        yield UploadContributionRequest(data=data[start : start + piece])
