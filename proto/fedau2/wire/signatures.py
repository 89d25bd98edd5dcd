"""How a manifest is signed: where the signature stands, and what it is of. Ed25519 itself is the two ends' business.

The signature is the manifest's field of the highest number, so the last that is serialised. What is signed is every
byte before it, as it stands, so that nobody needs to serialise a manifest in the same way again.
"""

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.errors import ManifestError

SIZE = 64
"""Bytes of a signature."""

_CONTEXT = b"fedau2 manifest\0"
_SUFFIX = TaskManifest(signature=bytes(SIZE)).SerializeToString()


def message(manifest: bytes) -> bytes:
    """What is signed of a manifest that has no signature yet."""
    return _CONTEXT + manifest


def attach(manifest: bytes, signature: bytes) -> bytes:
    """A serialised manifest that has no signature, with one."""
    return manifest + _SUFFIX[:-SIZE] + signature


def split(manifest: bytes) -> tuple[bytes, bytes]:
    """A serialised manifest without its signature, and the signature.

    Raises:
        ManifestError: it has none, or something after it.
    """
    body, suffix = manifest[: -len(_SUFFIX)], manifest[-len(_SUFFIX) :]
    if len(suffix) < len(_SUFFIX) or not suffix.startswith(_SUFFIX[:-SIZE]):
        raise ManifestError("the manifest is not signed")
    return body, suffix[-SIZE:]
