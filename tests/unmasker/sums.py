"""A task of secure sums, devices that contribute to its rounds, and the coordinator that asks for their sum."""

import hashlib
import secrets
from dataclasses import dataclass

import numpy as np

from fedau2.v1.unmasker_pb2 import (
    EVIDENCE_CLASS_OPEN,
    OpenRoundRequest,
    OpenSumBegin,
    OpenSumRequest,
    OpenSumResponse,
    SumMember,
    SumMembers,
)
from fedau2.wire import manifest
from fedau2.wire.secure import closing, masked, opening, packing
from fedau2.wire.secure.context import Context
from fedau2.wire.secure.layout import CANARY, Layout
from fedau2.wire.secure.opening import Bound
from tests.secure_tasks import policy
from tests.secure_tasks import task as secure_task
from tests.unmasker.device import Device
from unmasker.engine import summing
from unmasker.engine.sum_request import SumRequest
from unmasker.store import holders

MEMBERS = 64
CHECKPOINT = hashlib.sha256(b"checkpoint").digest()


def task_id(name=b"t"):
    return hashlib.sha256(name).digest()[:16]


class Crowd:
    """Devices that an unmasker has enrolled, all at once.

    Args:
        unmasker: the unmasker.
        count: number of devices.
    """

    def __init__(self, unmasker, count=MEMBERS):
        self.devices = [Device() for _ in range(count)]
        with unmasker.books.writing() as page:
            self.certificates = [_certified(page, device) for device in self.devices]


def _certified(page, device):
    subject = page.keys.subject(EVIDENCE_CLASS_OPEN, device.public_key)
    return holders.certify(page, EVIDENCE_CLASS_OPEN, subject, device.public_key, False, 90 * 86400)


@dataclass(frozen=True)
class Contribution:
    """What a device uploads, and what nobody but the test may see."""

    lease: bytes
    vector: np.ndarray
    seed: bytes
    sent: masked.Masked


class Task:
    """A task whose policy names an unmasker.

    Args:
        identity: the unmasker's identity key.
        name: of the task.
        sums: its policy, which is changed.
        separation: rounds between two contributions.
    """

    def __init__(self, identity, name=b"t", sums=None, separation=1):
        self.id, self.policy = task_id(name), policy(row_threshold=10) if sums is None else sums
        self.policy.unmaskers.append(identity)
        message = secure_task(self.policy)
        message.plan.minimum_separation = separation
        self.manifest = message.SerializeToString(deterministic=True)
        manifest.parse(self.manifest)
        self.layout, self.bits = Layout.of(message), self.policy.modulus_bits

    def opening(self, number, checkpoint=CHECKPOINT):
        """The request that opens a round."""
        return OpenRoundRequest(
            task_id=self.id,
            round=number,
            manifest=hashlib.sha256(self.manifest).digest(),
            checkpoint=checkpoint,
            policy=self.policy.SerializeToString(deterministic=True),
        )

    def context(self, key):
        return Context(key.task_id, key.round, key.manifest, key.checkpoint, self.policy, key.public_key).hash()

    def vector(self, rng, rows=()):
        """A contribution with small numbers that touches some rows."""
        out = np.zeros(self.layout.size, np.int32)
        out[: len(CANARY)] = CANARY
        out[self.layout.carried] = 1
        out[self.layout.touched][list(rows)] = 1
        start = self.layout.head.stop
        out[start:] = rng.integers(-50, 50, out.size - start)
        return out

    def contribute(self, key, device, certificate, vector, lease=None):
        """What a device does with its contribution to a round."""
        context, seed = self.context(key), secrets.token_bytes(32)
        lease = secrets.token_bytes(16) if lease is None else lease
        packed = masked.mask(vector, seed, context, self.bits)
        bound = Bound(context, lease, hashlib.sha256(packed).digest())
        sealed = opening.seal(bound, seed, certificate, device.key, key.public_key)
        return Contribution(lease, vector, seed, masked.Masked(packed, sealed))

    def contributions(self, key, crowd, rng=None, rows=None):
        """A contribution of each device of a crowd; `rows` are those that all of them touch."""
        rng = np.random.default_rng(key.round) if rng is None else rng
        rows = range(self.layout.items) if rows is None else rows
        pairs = zip(crowd.devices, crowd.certificates, strict=True)
        return [self.contribute(key, *pair, self.vector(rng, rows)) for pair in pairs]

    def member(self, contribution):
        """A contribution as the coordinator names it."""
        sent = contribution.sent
        return SumMember(
            lease=contribution.lease, digest=sent.digest, canary=sent.canary(self.bits), sealed=sent.sealed
        )

    def asked(self, number, contributions, **changed):
        """The request for a sum."""
        ordered = sorted(contributions, key=lambda contribution: contribution.lease)
        begin = OpenSumBegin(
            task_id=self.id,
            round=number,
            manifest=self.manifest,
            members=len(ordered),
            head=packing.pack(self.total(ordered)[self.layout.head], self.bits),
        )
        for name, value in changed.items():
            setattr(begin, name, value)
        return SumRequest(begin, tuple(map(self.member, ordered)))

    def total(self, contributions):
        """The sum of masked vectors, as the coordinator has it."""
        vectors = (packing.unpack(each.sent.packed, self.layout.size, self.bits) for each in contributions)
        return sum(vectors, np.zeros(self.layout.size, np.uint32))

    def decoded(self, contributions, opened, masks):
        """The sum as the coordinator reads it from an answer, with 0 in every closed place."""
        closed = closing.read(opened.withheld, self.layout)
        words = self.total(contributions) - packing.unpack(masks, self.layout.size, self.bits)
        words[closing.closed_places(self.layout, self.policy, closed)] = 0
        return centred(words, self.bits)

    def expected(self, contributions, withheld=b""):
        """The exact sum, with 0 in every closed place."""
        closed = closing.read(withheld, self.layout)
        total = sum((each.vector.astype(np.int64) for each in contributions), np.zeros(self.layout.size, np.int64))
        total[closing.closed_places(self.layout, self.policy, closed)] = 0
        return total


def centred(words, bits):
    """Integers modulo 2^bits as the ones nearest to 0."""
    low = (words & np.uint32(2**bits - 1)).astype(np.int64)
    return np.where(low >= 2 ** (bits - 1), low - 2**bits, low)


def messages(request, at_once=50):
    """The messages in which a request travels."""
    yield OpenSumRequest(begin=request.begin)
    for start in range(0, len(request.members), at_once):
        yield OpenSumRequest(members=SumMembers(members=request.members[start : start + at_once]))


def ask(unmasker, request):
    """Asks an unmasker for a sum, without gRPC; returns the first response, and the packed masks."""
    key = unmasker.begin_sum(request)
    members = summing.open_members(request, key, unmasker.books.keys, nothing)
    if (refused := unmasker.claim_sum(request, members)) is not None:
        return OpenSumResponse(refused=refused), b""
    answer = summing.add_up(request, key, members, nothing)
    return unmasker.settle_sum(request, members, answer), b"".join(answer.pieces())


def nothing():
    """Somebody waits for the answer."""
