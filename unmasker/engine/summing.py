"""The part of opening a sum that needs no books: what was sealed is opened and checked, and the masks are added up.

It takes almost all of the time and runs beside the books' thread. The seeds are in memory only, and gone with the
answer.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.unmasker_pb2 import SignedRoundKey, SumMember
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity.certificate import Certificate
from fedau2.wire.identity.signing import verifies
from fedau2.wire.secure import closing, masked, masks, noise, opening, packing
from fedau2.wire.secure.context import Context
from fedau2.wire.secure.layout import CANARY
from fedau2.wire.secure.opening import Bound
from unmasker.engine import sum_task
from unmasker.engine.sum_request import SumRequest
from unmasker.engine.sum_task import SumTask
from unmasker.store.keys import Keys
from unmasker.store.rounds import OpenKey

_CANARY = np.array(CANARY, np.uint32)
_NOISE = b"fedau2 noise key v1\0"

_PIECE = 2**18
"""Words of a piece of the answer, at most 1 MiB."""


@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """The answer to a request whose members are all good.

    Attributes:
        words: sum of the masks modulo 2^32, with 0 in every place that stays closed; of shape (layout.size,).
        bits: of the modulus.
        closed: True for the catalogue rows, and then for the tensors, that stay closed.
    """

    words: NDArray[np.uint32]
    bits: int
    closed: NDArray[np.bool_]

    def pieces(self) -> Iterator[bytes]:
        """Yields the packed words, at most 1 MiB at a time."""
        for start in range(0, self.words.size, _PIECE):
            yield packing.pack(self.words[start : start + _PIECE], self.bits)

    @cached_property
    def sha256(self) -> bytes:
        """SHA-256 of the packed words."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.digest()


@dataclass(frozen=True, eq=False, repr=False)
class Members:
    """The sealed parts of the members' contributions, opened and checked.

    Attributes:
        key: of the round.
        context: hash of the round's context.
        task: of the manifest.
        head: words of the masked head, each below 2^b. Nothing is read from it before the books have the set.
        certificates: by lease, of the members whose openings are good. They are signed; the books know the rest.
        seeds: of the same members, in their order.
    """

    key: SignedRoundKey
    context: bytes
    task: SumTask
    head: NDArray[np.uint32]
    certificates: Mapping[bytes, Certificate]
    seeds: Sequence[bytes]


def open_members(request: SumRequest, key: OpenKey, keys: Keys, check: Callable[[], None]) -> Members:
    """Opens and checks what the members' devices have sealed.

    Args:
        request: the request.
        key: of its round.
        keys: the unmasker's; only their public parts are used.
        check: is called for each member, and raises an error if nobody waits for the answer any more.

    Raises:
        InvalidRequestError: the manifest is not that of the round, or something has a wrong size.
        SmallSumError: there are too few members.
    """
    task = sum_task.read(request.begin.manifest, key.public, keys.public.identity)
    task.check_number(len(request.members))
    head = task.head(request.begin.head)
    context = _context(key.public, task.policy)
    opened = []
    for member in request.members:
        check()
        opened.append(_opened(member, context, key, keys, task.policy.modulus_bits))
    named = zip(request.members, opened, strict=True)
    certificates = {member.lease: found[0] for member, found in named if found is not None}
    seeds = [found[1] for found in opened if found is not None]
    return Members(key.public, context, task, head, certificates, seeds)


def add_up(request: SumRequest, key: OpenKey, members: Members, check: Callable[[], None]) -> Answer | None:
    """Adds up the masks of members who are all good.

    The set must be in the books before: the result shows whether the head is that of the members.

    Args:
        request: the request.
        key: of its round.
        members: all members of the request.
        check: as `open_members` has it.

    Returns:
        The answer; None: the head is not that of the members.
    """
    task, layout, bits = members.task, members.task.layout, members.task.policy.modulus_bits
    words = masked.sum_of_masks(_checked(members.seeds, check), members.context, layout.size)
    counts = ((members.head - words[layout.head]) & np.uint32(2**bits - 1)).astype(np.int64)
    closed = _closed(counts, len(members.seeds), task)
    if closed is None:
        return None
    if task.policy.noise_multiplier:
        drawn = noise.vector(layout, task.policy, _noise_key(key, request.set(members.context), members.seeds))
        words -= drawn.astype(np.uint32)  # modulo 2^32, which 2^bits divides
    words[closing.closed_places(layout, task.policy, closed)] = 0
    answer = Answer(words, bits, closed)
    assert answer.sha256  # here, so that the books' thread need not
    return answer


def _context(key: SignedRoundKey, sums: SecureSums) -> bytes:
    return Context(key.task_id, key.round, key.manifest, key.checkpoint, sums, key.public_key).hash()


def _opened(member: SumMember, context: bytes, key: OpenKey, keys: Keys, bits: int) -> tuple[Certificate, bytes] | None:
    """Returns the certificate and the seed of a member, or None if anything about it is wrong."""
    bound = Bound(context, member.lease, member.digest)
    try:
        found = opening.unseal(member.sealed, bound, key.private)
        certificate, signature = Certificate.read(found.certificate)
    except IdentityError:
        return None
    good = (
        verifies(keys.public.authority.public_key, signature, certificate.message())
        and verifies(certificate.public_key, found.signature, opening.message(bound, found.seed))
        and member.canary == packing.pack(masks.words(found.seed, context, len(CANARY)) + _CANARY, bits)
    )
    return (certificate, found.seed) if good else None


def _closed(counts: NDArray[np.int64], members: int, task: SumTask) -> NDArray[np.bool_] | None:
    """Returns True for what stays closed, or None if the head is not that of the members.

    With noise nothing depends on a count.
    """
    if not np.array_equal(counts[: len(CANARY)], np.multiply(CANARY, members)):
        return None
    if task.policy.noise_multiplier:
        return closing.nothing(task.layout)
    return closing.withheld(counts, task.layout, task.policy.row_threshold) if counts.max() <= members else None


def _noise_key(key: OpenKey, members: bytes, seeds: Sequence[bytes]) -> bytes:
    """Derives the key of the noise: the same for the same set and seeds, as long as the round has its key.

    The seeds are part of it, because an unmasker that was restored as a whole may be shown other seeds for a set. Equal
    noise would then cancel out of the difference of the two answers.
    """
    joined = hashlib.sha256(b"".join(seeds)).digest()
    return HKDF(SHA256(), 32, members, _NOISE + joined).derive(key.private.private_bytes_raw())


def _checked(seeds: Sequence[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    for seed in seeds:
        check()
        yield seed
