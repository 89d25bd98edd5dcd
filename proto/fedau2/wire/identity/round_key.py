"""The key of a round, and all that it is for. Pure functions; `signing` checks the signature."""

import hashlib
import struct

from fedau2.v1.unmasker_pb2 import SignedRoundKey
from fedau2.wire.errors import IdentityError

TASK_ID, HASH = 16, 32
"""Bytes of a task's id, and of a hash or a public key."""

MOST_POLICY = 64 * 1024
"""Most bytes of a policy."""

_CONTEXT = b"fedau2 round key v1\0"
_BODY = struct.Struct("<16sQ32s32s32s32s")


def policy_hash(policy: bytes) -> bytes:
    """Returns the hash by which a round's key names a policy, which is serialised as in the manifest."""
    return hashlib.sha256(policy).digest()


def check(key: SignedRoundKey) -> None:
    """Returns if all parts have their lengths.

    Raises:
        IdentityError: one has not.
    """
    if len(key.task_id) != TASK_ID:
        raise IdentityError(f"a task's id has {TASK_ID} bytes, not {len(key.task_id)}")
    for name in ("manifest", "checkpoint", "policy", "public_key"):
        if len(getattr(key, name)) != HASH:
            raise IdentityError(f"the {name} of a round's key has {HASH} bytes, not {len(getattr(key, name))}")


def message(key: SignedRoundKey) -> bytes:
    """Returns what the unmasker's identity key signs.

    Raises:
        IdentityError: a part has a wrong length.
    """
    check(key)
    fields = (key.task_id, key.round, key.manifest, key.checkpoint, key.policy, key.public_key)
    return _CONTEXT + _BODY.pack(*fields)
