"""The unmasker's three lasting keys. They are made once, by `init`, and are in files of the state folder only."""

import hmac
import secrets
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedau2.v1.unmasker_pb2 import Authority, LogHead, SignedRoundKey, UnmaskerKeys
from fedau2.wire.identity import enrolment, log, round_key
from fedau2.wire.identity.certificate import Certificate
from fedau2.wire.identity.signing import public_bytes

SIZE = 32
"""Bytes of each key."""


@dataclass(frozen=True, eq=False)
class Keys:
    """The three keys.

    Attributes:
        identity: signs keys of rounds, heads of the log, and the authority. Apps know its public key.
        authority: signs certificates.
        subjects: hashes what evidence says of users.
    """

    identity: Ed25519PrivateKey
    authority: Ed25519PrivateKey
    subjects: bytes

    @classmethod
    def make(cls) -> Self:
        """Draws new keys."""
        return cls(Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate(), secrets.token_bytes(SIZE))

    @cached_property
    def public(self) -> UnmaskerKeys:
        """The public keys, with what signs them."""
        authority = Authority(public_key=public_bytes(self.authority))
        authority.signature = self.identity.sign(enrolment.authority_message(authority))
        return UnmaskerKeys(identity=public_bytes(self.identity), authority=authority)

    def subject(self, evidence_class: int, claim: bytes) -> bytes:
        """Returns the 32 bytes by which the holder of evidence is known here. Without the key they tell nothing."""
        return hmac.digest(self.subjects, bytes([evidence_class]) + claim, sha256)

    def certify(self, certificate: Certificate) -> bytes:
        """Returns a certificate with its signature."""
        return certificate.body() + self.authority.sign(certificate.message())

    def sign_round(self, key: SignedRoundKey) -> None:
        """Signs the key of a round."""
        key.signature = self.identity.sign(round_key.message(key))

    def sign_head(self, head: LogHead) -> None:
        """Signs a head of the log."""
        head.signature = self.identity.sign(log.head_message(head))
