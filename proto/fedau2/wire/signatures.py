"""Attaches a signature to a serialised manifest, and splits it off. Signing and verifying are left to the two ends.

The signature is the field with the highest number, so it is serialised last. It is over all bytes before it, so that
nobody needs to serialise a manifest again in the same way.
"""

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.errors import ManifestError

SIZE = 64
"""Bytes of a signature."""

_CONTEXT = b"fedau2 manifest\0"
_SUFFIX = TaskManifest(signature=bytes(SIZE)).SerializeToString()


def message(manifest: bytes) -> bytes:
    """Returns the message to sign for a serialised manifest without a signature."""
    return _CONTEXT + manifest


def attach(manifest: bytes, signature: bytes) -> bytes:
    """Returns a serialised manifest, which must have no signature, with one."""
    return manifest + _SUFFIX[:-SIZE] + signature


def split(manifest: bytes) -> tuple[bytes, bytes]:
    """Returns a serialised manifest without its signature, and the signature.

    Raises:
        ManifestError: there is no signature at the end.
    """
    body, suffix = manifest[: -len(_SUFFIX)], manifest[-len(_SUFFIX) :]
    if len(suffix) < len(_SUFFIX) or not suffix.startswith(_SUFFIX[:-SIZE]):
        raise ManifestError("the manifest is not signed")
    return body, suffix[-SIZE:]
