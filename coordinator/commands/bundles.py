"""Reads a bundle from a folder, to send it to the coordinator."""

from collections.abc import Iterator
from pathlib import Path

from coordinator.errors import BundleFolderError
from fedau2.v1.admin_pb2 import BlobPart
from fedau2.v1.task_pb2 import Resource
from fedau2.wire import blobs, bundles, manifest


def read(folder: Path) -> tuple[bytes, Iterator[BlobPart]]:
    """Returns the serialised manifest of a bundle, and all its blobs in parts.

    Raises:
        BundleFolderError: the folder holds no bundle, or the bundle is not whole.
        WireError: the manifest cannot be run, or a blob is damaged.
    """
    path = folder / bundles.MANIFEST
    if not path.is_file():
        raise BundleFolderError(f"{folder} is not a bundle: it holds no {path.name}; build one with fedau2-export")
    data = path.read_bytes()
    resources = manifest.blobs(manifest.parse(data))
    for resource in resources:
        if not (lacking := bundles.blob_path(folder, resource)).is_file():
            raise BundleFolderError(f"the bundle is not whole: {lacking} is missing")
    whole = [(resource, bundles.read_blob(folder, resource)) for resource in resources]
    return data, (part for resource, content in whole for part in _parts(resource, content))


def _parts(resource: Resource, data: bytes) -> Iterator[BlobPart]:
    return (BlobPart(sha256=resource.sha256, data=piece) for piece in blobs.chunks(data))
