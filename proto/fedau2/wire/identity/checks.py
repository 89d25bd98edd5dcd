"""Checks that certificates and the keys of rounds are signed as they must be. All of them are pure functions."""

from collections.abc import Iterable

from fedau2.v1.unmasker_pb2 import Authority, SignedRoundKey
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity import enrolment, round_key
from fedau2.wire.identity.certificate import Certificate
from fedau2.wire.identity.signing import verifies


def authority(named: Authority, identity: bytes) -> bytes:
    """Returns the key that signs certificates, if an unmasker's identity key names it.

    Raises:
        IdentityError: it does not.
    """
    if not verifies(identity, named.signature, enrolment.authority_message(named)):
        raise IdentityError("the key that signs certificates is not signed by the unmasker's identity key")
    return named.public_key


def certificate(data: bytes, authority_key: bytes, now: float) -> Certificate:
    """Returns a certificate that is signed, and valid at a time.

    Only the unmasker knows whether its holder has been revoked.

    Args:
        data: the certificate.
        authority_key: the key that signs certificates.
        now: seconds since 1970.

    Raises:
        IdentityError: it is not a certificate, is signed by somebody else, has expired, or is not valid yet.
    """
    read, signature = Certificate.read(data)
    if not verifies(authority_key, signature, read.message()):
        raise IdentityError("the certificate is not signed by the unmasker's authority")
    if not read.current(now):
        raise IdentityError("the certificate has expired, or is not valid yet")
    return read


def round_key_of(key: SignedRoundKey, expected: SignedRoundKey, identities: Iterable[bytes]) -> bytes:
    """Returns the key of a round, if one of some unmaskers signed it for this round and nothing else.

    Args:
        key: as the coordinator gave it.
        expected: task, round and hashes as the device knows them; its key and signature are ignored.
        identities: the identity keys of the unmaskers that the device trusts.

    Raises:
        IdentityError: it is for something else, or none of them signed it.
    """
    for name in ("task_id", "round", "manifest", "checkpoint", "policy"):
        if getattr(key, name) != getattr(expected, name):
            raise IdentityError(f"the round's key is for another {name}")
    message = round_key.message(key)
    if not any(verifies(identity, key.signature, message) for identity in identities):
        raise IdentityError("the round's key is signed by no unmasker that is trusted")
    return key.public_key
