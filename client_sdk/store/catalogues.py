"""Reads catalogues from the cached blobs, and keeps the newest in memory."""

from collections.abc import Mapping

from client_sdk.errors import UnsupportedTaskError
from client_sdk.store.blob_cache import BlobCache
from fedau2.v1.task_pb2 import Resource
from fedau2.wire import blobs
from fedau2.wire.errors import BlobError


class Catalogues:
    """The catalogues of a store's tasks.

    Args:
        cache: the store's blobs.
    """

    def __init__(self, cache: BlobCache) -> None:
        self._cache = cache
        self._newest: tuple[bytes, Mapping[str, int]] = (b"", {})

    def rows(self, catalogue: Resource) -> Mapping[str, int] | None:
        """Returns rows by item id, in row order; None if the cache lacks the catalogue's blob.

        Raises:
            UnsupportedTaskError: the blob is not a catalogue.
        """
        if self._newest[0] != catalogue.sha256:
            data = self._cache.get(catalogue)
            if data is None:
                return None
            self._newest = (catalogue.sha256, _rows(data))
        return self._newest[1]


def _rows(data: bytes) -> Mapping[str, int]:
    try:
        return {item: row for row, item in enumerate(blobs.catalogue(data))}
    except BlobError as error:
        raise UnsupportedTaskError(str(error)) from error
