"""A certificate has one way to be written, and nothing but the authority's own bytes verifies."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from fedau2.v1.unmasker_pb2 import EvidenceClass
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity import checks
from fedau2.wire.identity.certificate import CLASSES, EARLY, LONGEST, SIZE, Certificate
from fedau2.wire.identity.signing import public_bytes

AUTHORITY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = public_bytes(AUTHORITY)
TIME = st.integers(0, 2**40)

certificates = st.builds(
    lambda evidence_class, pseudonym, key, issued, life: Certificate(
        evidence_class, pseudonym, key, issued, issued + life
    ),
    st.sampled_from([1, 2, 3]),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=32, max_size=32),
    TIME,
    st.integers(1, LONGEST),
)


def signed(certificate, authority=AUTHORITY):
    return certificate.body() + authority.sign(certificate.message())


@given(certificates)
def test_it_is_read_as_it_was_written(certificate):
    data = signed(certificate)
    assert len(data) == SIZE
    assert Certificate.read(data) == (certificate, data[-64:])


@given(certificates, st.integers(0, SIZE - 1), st.integers(1, 255))
def test_no_changed_byte_verifies(certificate, position, change):
    data = bytearray(signed(certificate))
    data[position] ^= change
    with pytest.raises(IdentityError):
        checks.certificate(bytes(data), KEY, certificate.issued)


@given(certificates, st.binary(max_size=2 * SIZE))
def test_no_other_bytes_verify(certificate, data):
    right = signed(certificate)
    for forged in (data, right[:-1], right + b"\0", data + right[len(data) :]):
        if forged != right:
            with pytest.raises(IdentityError):
                checks.certificate(forged, KEY, certificate.issued)


@given(certificates)
def test_nobody_else_can_sign_it(certificate):
    stranger = Ed25519PrivateKey.generate()
    with pytest.raises(IdentityError, match="not signed"):
        checks.certificate(signed(certificate, stranger), KEY, certificate.issued)
    bare = certificate.body() + AUTHORITY.sign(certificate.body())  # a signature over the same bytes for another use
    with pytest.raises(IdentityError, match="not signed"):
        checks.certificate(bare, KEY, certificate.issued)


@given(certificates, st.integers(-(2**41), 2**41))
def test_it_is_valid_from_an_hour_before_its_first_second_to_before_its_last(certificate, now):
    """The hour is for clocks that are set back."""
    if certificate.issued - EARLY <= now < certificate.expires:
        assert checks.certificate(signed(certificate), KEY, now) == certificate
    else:
        with pytest.raises(IdentityError, match="expired"):
            checks.certificate(signed(certificate), KEY, now)


@pytest.mark.parametrize("life", [0, -1, LONGEST + 1])
def test_one_for_no_time_or_for_too_long_is_none_even_if_it_is_signed(life):
    certificate = Certificate(1, bytes(16), bytes(32), 10**9, 10**9 + life)
    with pytest.raises(IdentityError, match="90 days"):
        checks.certificate(signed(certificate), KEY, 10**9)


def test_the_bytes_are_those_of_the_table():
    data = Certificate(2, b"p" * 16, b"k" * 32, 1, 258).body()
    assert data == b"\x01\x02" + b"p" * 16 + b"k" * 32 + b"\x01" + bytes(7) + b"\x02\x01" + bytes(6)


def test_the_classes_are_those_of_the_messages():
    assert tuple(number for number in EvidenceClass.values() if number) == CLASSES
