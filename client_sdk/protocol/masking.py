"""Masks a device's contribution to a secure sum. Needs `cryptography`, which it loads.

Masks are drawn from the operating system, and not from the client's key: who has stolen that must not be able to open
what was sent before. The seed of a mask is forgotten once it is sealed to the round's key, so nothing on the device
opens what is staged.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import DecodeError

from client_sdk.errors import TrainingError, UnsupportedTaskError, UntrustedUnmaskerError
from client_sdk.protocol.interfaces import Identities
from client_sdk.protocol.membership import Membership
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Model
from client_sdk.protocol.wishes import SPENT, Declined
from fedau2.v1.device_pb2 import FAILURE_REASON_NOT_ENROLLED, Assignment
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.unmasker_pb2 import SignedRoundKey
from fedau2.wire.contributions import Update
from fedau2.wire.errors import ContributionError, IdentityError
from fedau2.wire.identity import checks, round_key
from fedau2.wire.identity.signing import verifies
from fedau2.wire.secure import masked, opening, quantise
from fedau2.wire.secure.context import Context
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.masked import Masked
from fedau2.wire.secure.masks import SEED
from fedau2.wire.secure.opening import Bound

LEASE = 16
"""Bytes of an assignment's id."""


@dataclass(frozen=True, eq=False, repr=False)
class Mask:
    """The way to mask one contribution: its round's key has been checked.

    Attributes:
        task: the manifest.
        context: hash of the round's context.
        lease: id of the assignment.
        round_key: the unmasker's public key of the round.
        unmasker: identity key of the unmasker that signed it.
        identities: the device's keys and certificates.
        certificate: of the device, by that unmasker.
    """

    task: TaskManifest
    context: bytes
    lease: bytes
    round_key: bytes
    unmasker: bytes
    identities: Identities
    certificate: bytes

    def masked(self, contribution: Mapping[str, Update]) -> bytes:
        """Returns a contribution as it is uploaded: the masked vector, and the mask's seed sealed to the unmasker.

        Raises:
            TrainingError: the engine returned something else than a contribution to this task.
            UntrustedUnmaskerError: nothing can be sealed to the round's key.
        """
        policy = self.task.secure_sums
        try:
            vector = quantise.vector(contribution, policy, Layout.of(self.task))
        except ContributionError as error:
            raise TrainingError(f"the engine failed: {error}") from error
        seed = os.urandom(SEED)
        packed = masked.mask(vector, seed, self.context, policy.modulus_bits)
        return Masked(packed, self._sealed(seed, packed)).joined()

    def _sealed(self, seed: bytes, packed: bytes) -> bytes:
        bound = Bound(self.context, self.lease, Masked(packed, b"").digest)
        key = Ed25519PrivateKey.from_private_bytes(self.identities.key(self.unmasker))
        try:
            return opening.seal(bound, seed, self.certificate, key, self.round_key)
        except IdentityError as error:
            raise UntrustedUnmaskerError(f"the round's key is not believed: {error}") from error


def mask_for(
    assignment: Assignment, model: Model, task: TaskManifest, trust: Trust, membership: Membership | None
) -> Mask:
    """Returns the mask for a place in a round of secure sums.

    Args:
        assignment: of the place.
        model: the version that the device starts from.
        task: its manifest, to which the device may contribute (`Trust.expect_secure`).
        trust: names the unmaskers that the app trusts.
        membership: of the device.

    Raises:
        Declined: the device is not enrolled, or has contributed as often as the policy allows.
        UntrustedUnmaskerError: the round's key is not by an unmasker that policy and app name, or is for something else
            than the device sees.
    """
    if membership is None:
        raise Declined(FAILURE_REASON_NOT_ENROLLED)
    if membership.spent(model.task_id, task.secure_sums):
        raise Declined(FAILURE_REASON_NOT_ENROLLED, SPENT)
    key, unmasker = _checked(assignment, model, task, trust)
    certificate = membership.identities.certificate(unmasker)
    if certificate is None:
        raise Declined(FAILURE_REASON_NOT_ENROLLED)
    if len(assignment.assignment_id) != LEASE:
        raise UnsupportedTaskError(f"an assignment's id has {LEASE} bytes, not {len(assignment.assignment_id)}")
    context = Context(key.task_id, key.round, key.manifest, key.checkpoint, task.secure_sums, key.public_key).hash()
    lease = assignment.assignment_id
    return Mask(task, context, lease, key.public_key, unmasker, membership.identities, certificate)


def _checked(assignment: Assignment, model: Model, task: TaskManifest, trust: Trust) -> tuple[SignedRoundKey, bytes]:
    """Returns the round's key, and the unmasker that signed it."""
    policy = task.secure_sums
    known = [identity for identity in policy.unmaskers if identity in trust.unmaskers]
    try:
        key = SignedRoundKey.FromString(assignment.round_key)
        checks.round_key_of(key, _seen(model, task), known)
    except (DecodeError, IdentityError) as error:
        raise UntrustedUnmaskerError(f"the round's key is not believed: {error}") from error
    return key, next(identity for identity in known if verifies(identity, key.signature, round_key.message(key)))


def _seen(model: Model, task: TaskManifest) -> SignedRoundKey:
    """Returns what a round's key must say, as the device itself sees it."""
    try:
        task_id = bytes.fromhex(model.task_id)
    except ValueError:
        task_id = b""
    if task_id.hex() != model.task_id:  # another spelling would have counts of its own
        task_id = b""
    return SignedRoundKey(
        task_id=task_id,
        round=model.round,
        manifest=model.manifest.sha256,
        checkpoint=model.checkpoint.sha256,
        policy=round_key.policy_hash(task.secure_sums.SerializeToString(deterministic=True)),
    )
