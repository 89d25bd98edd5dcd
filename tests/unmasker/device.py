"""Devices that enrol, and coordinators that open rounds, without the SDK."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_OPEN, EnrolRequest, OpenRoundRequest
from fedau2.wire.identity import enrolment
from fedau2.wire.identity.signing import public_bytes

POLICY = SecureSums(version=1).SerializeToString()


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now=1_800_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


class Device:
    """A device with a key."""

    def __init__(self):
        self.key = Ed25519PrivateKey.generate()

    @property
    def public_key(self):
        return public_bytes(self.key)

    def request(self, identity, evidence_class=EVIDENCE_CLASS_OPEN, evidence=b""):
        request = EnrolRequest(public_key=self.public_key, evidence_class=evidence_class, evidence=evidence)
        request.signature = self.key.sign(enrolment.message(request, identity))
        return request


def opening(number=0, task=b"t", checkpoint=b"c", **fields):
    """A request to open a round."""
    return OpenRoundRequest(
        task_id=hashlib.sha256(task).digest()[:16],
        round=number,
        manifest=hashlib.sha256(b"m").digest(),
        checkpoint=hashlib.sha256(checkpoint).digest(),
        policy=POLICY,
        **fields,
    )
