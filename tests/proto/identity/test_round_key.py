"""A round's key counts for one round of one unmasker, and for nothing else."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from fedau2.v1.unmasker_pb2 import SignedRoundKey
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity import checks, round_key
from fedau2.wire.identity.signing import public_bytes, read_public

UNMASKER, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SIZES = {"task_id": 16, "manifest": 32, "checkpoint": 32, "policy": 32, "public_key": 32}

keys = st.builds(
    SignedRoundKey,
    round=st.integers(0, 2**63 - 1),
    **{name: st.binary(min_size=size, max_size=size) for name, size in SIZES.items()},
)


def signed(key, by=UNMASKER):
    copy = SignedRoundKey()
    copy.CopyFrom(key)
    copy.signature = by.sign(round_key.message(copy))
    return copy


@given(keys)
def test_a_signed_key_is_found_right_for_its_round(key):
    trusted = [public_bytes(OTHER), public_bytes(UNMASKER)]
    assert checks.round_key_of(signed(key), key, trusted) == key.public_key


@given(keys, keys, st.sampled_from([*SIZES, "round"]))
def test_it_is_right_for_no_other_round(key, other, name):
    if getattr(key, name) == getattr(other, name):
        return
    expected, replaced = SignedRoundKey(), signed(key)
    expected.CopyFrom(key)
    setattr(expected, name, getattr(other, name))
    setattr(replaced, name, getattr(other, name))
    with pytest.raises(IdentityError):  # the coordinator changes what is said after the signature
        checks.round_key_of(replaced, expected, [public_bytes(UNMASKER)])
    if name != "public_key":
        with pytest.raises(IdentityError, match="another"):  # or gives the key of another round
            checks.round_key_of(signed(key), expected, [public_bytes(UNMASKER)])


@given(keys)
def test_only_an_unmasker_that_is_trusted_can_sign(key):
    for trusted in ([], [public_bytes(OTHER)]):
        with pytest.raises(IdentityError, match="no unmasker"):
            checks.round_key_of(signed(key), key, trusted)
    with pytest.raises(IdentityError, match="no unmasker"):
        checks.round_key_of(key, key, [public_bytes(UNMASKER)])


@given(keys, st.sampled_from(sorted(SIZES)), st.sampled_from([b"", b"x", b"x" * 33]))
def test_parts_of_other_lengths_are_never_signed_or_believed(key, name, part):
    setattr(key, name, part)
    with pytest.raises(IdentityError, match="bytes"):
        round_key.message(key)


def test_public_keys_are_read_from_pem_only(tmp_path):
    for text in (b"", b"x", b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", None):
        with pytest.raises(IdentityError):
            read_public(text)
