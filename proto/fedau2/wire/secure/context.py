"""The hashes that bind a mask to one round, and an opened sum to its members."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from fedau2.v1.secure_pb2 import SecureSums


@dataclass(frozen=True)
class Context:
    """The round that a mask is made for. A mask that was made for anything else does not open.

    The attempt of a round is not part of it, because an abandoned attempt leaves its contributions to the next.

    Attributes:
        task_id: 16 bytes, random.
        round: number of the round.
        manifest: SHA-256 of the serialised manifest.
        checkpoint: SHA-256 of the checkpoint that the devices started from.
        policy: of the manifest.
        round_key: the unmasker's public key of the round.
    """

    task_id: bytes
    round: int
    manifest: bytes
    checkpoint: bytes
    policy: SecureSums
    round_key: bytes

    def hash(self) -> bytes:
        """Returns the SHA-256 of everything, 32 bytes."""
        for part, length in ((self.task_id, 16), (self.manifest, 32), (self.checkpoint, 32)):
            if len(part) != length:
                raise ValueError(f"a part of a context has {len(part)} bytes instead of {length}")
        policy = self.policy.SerializeToString(deterministic=True)
        return _sha256(
            b"fedau2 secure sum v1\0",
            self.task_id,
            self.round.to_bytes(8, "little"),
            self.manifest,
            self.checkpoint,
            _sha256(policy),
            _sha256(self.round_key),
        )


def set_hash(context: bytes, members: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Returns the SHA-256 of a set of contributions, in whichever order they are given.

    Args:
        context: hash of the context.
        members: lease, 16 bytes, and digest, 32 bytes, of each; no lease twice.
    """
    ordered = sorted(members)
    if any(len(lease) != 16 or len(digest) != 32 for lease, digest in ordered):
        raise ValueError("a member is not a lease of 16 bytes and a digest of 32")
    if len({lease for lease, _ in ordered}) < len(ordered):
        raise ValueError("a lease is twice in a set")
    joined = b"".join(lease + digest for lease, digest in ordered)
    return _sha256(b"fedau2 set v1\0", context, len(ordered).to_bytes(4, "little"), joined)


def _sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()
