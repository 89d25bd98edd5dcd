"""The messages that are signed when a device enrols."""

import hashlib
import struct

from fedau2.v1.unmasker_pb2 import Authority, EnrolRequest

MOST_EVIDENCE = 8 * 1024
"""Most bytes of evidence."""

_REQUEST = b"fedau2 enrol v1\0"
_AUTHORITY = b"fedau2 authority v1\0"


def message(request: EnrolRequest, identity: bytes) -> bytes:
    """Returns what a device signs to show that it has the key, and that it means this unmasker.

    Args:
        request: its signature is left out.
        identity: the unmasker's identity key, 32 bytes.
    """
    evidence = hashlib.sha256(struct.pack("<i", request.evidence_class) + request.evidence).digest()
    return _REQUEST + identity + request.public_key + evidence


def authority_message(authority: Authority) -> bytes:
    """Returns what the unmasker's identity key signs to name the key that signs certificates."""
    return _AUTHORITY + authority.public_key
