"""A bundle as a folder: its manifest, and its blobs by hash."""

from pathlib import Path

from fedau2.v1.task_pb2 import Resource, TaskManifest
from fedau2.wire import blobs, manifest

MANIFEST = "manifest.binpb"
BLOBS = "blobs"


def read_manifest(folder: Path) -> TaskManifest:
    """The manifest, checked.

    Raises:
        ManifestError: it cannot be run.
        OSError: it cannot be read.
    """
    return manifest.parse((folder / MANIFEST).read_bytes())


def blob_path(folder: Path, resource: Resource) -> Path:
    """Where a blob lies."""
    return folder / BLOBS / resource.sha256.hex()


def read_blob(folder: Path, resource: Resource) -> bytes:
    """A blob, checked against its hash.

    Raises:
        BlobError: it is damaged.
        OSError: it cannot be read.
    """
    return blobs.check(blob_path(folder, resource).read_bytes(), resource)
