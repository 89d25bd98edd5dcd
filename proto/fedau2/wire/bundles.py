"""Reads a bundle from a folder, which holds its manifest, and its blobs by hash."""

from pathlib import Path

from fedau2.v1.task_pb2 import Resource, TaskManifest
from fedau2.wire import blobs, manifest

MANIFEST = "manifest.binpb"
BLOBS = "blobs"


def read_manifest(folder: Path) -> TaskManifest:
    """Reads and checks the manifest.

    Raises:
        ManifestError: this version cannot run it.
        OSError: the file cannot be read.
    """
    return manifest.parse((folder / MANIFEST).read_bytes())


def blob_path(folder: Path, resource: Resource) -> Path:
    """Returns the path of a blob."""
    return folder / BLOBS / resource.sha256.hex()


def read_blob(folder: Path, resource: Resource) -> bytes:
    """Reads a blob and checks it against its hash.

    Raises:
        BlobError: it is damaged.
        OSError: the file cannot be read.
    """
    return blobs.check(blob_path(folder, resource).read_bytes(), resource)
