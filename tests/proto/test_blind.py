"""Blind signatures are those of RFC 9474, and are RSASSA-PSS signatures as other libraries know them."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA384
from hypothesis import given, settings
from hypothesis import strategies as st

from fedau2.wire import blind
from fedau2.wire.blind import EXPONENT, PrivateKey
from fedau2.wire.errors import BlindSignatureError
from tests.proto import blind_vectors as vector

PADDING = padding.PSS(padding.MGF1(SHA384()), blind.SALT)
MADE = rsa.generate_private_key(EXPONENT, 2048)
NUMBERS = MADE.private_numbers()
KEY = PrivateKey(NUMBERS.p, NUMBERS.q, NUMBERS.d)
OTHER = rsa.generate_private_key(EXPONENT, 2048).private_numbers()


def signed(message, key=KEY):
    blinded = blind.blind(key.modulus, message)
    return blinded, blind.finish(blinded, key.sign(blinded.blinded))


def test_the_vector_of_the_rfc():
    key = PrivateKey(vector.P, vector.Q, pow(EXPONENT, -1, (vector.P - 1) * (vector.Q - 1)))
    factor = pow(vector.INVERSE, -1, vector.P * vector.Q)
    blinded = blind.blind(key.modulus, vector.MESSAGE, vector.PREFIX, vector.SALT, factor)
    assert blinded.blinded == vector.BLINDED
    assert blinded.inverse == vector.INVERSE
    assert key.sign(blinded.blinded) == vector.BLIND_SIGNATURE
    assert blind.finish(blinded, vector.BLIND_SIGNATURE) == vector.SIGNATURE
    assert blind.verify(key.modulus, vector.PREFIX + vector.MESSAGE, vector.SIGNATURE)


@settings(max_examples=15, deadline=None)
@given(st.binary(max_size=80))
def test_another_library_knows_the_signature_and_two_of_one_message_share_nothing(message):
    (one, first), (two, second) = signed(message), signed(message)
    MADE.public_key().verify(first, one.message, PADDING, SHA384())
    assert one.message != two.message
    assert one.blinded != two.blinded
    assert first != second


def test_what_another_library_signs_is_verified():
    assert blind.verify(KEY.modulus, b"message", MADE.sign(b"message", PADDING, SHA384()))
    assert not blind.verify(KEY.modulus, b"message", MADE.sign(b"message", padding.PKCS1v15(), SHA384()))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 8 * 256 - 1), st.sampled_from(["message", "signature", "blinded", "modulus"]))
def test_one_bit_changed_anywhere_is_found(bit, part):
    blinded, signature = signed(b"x" * 256)
    values = {"message": blinded.message[-256:], "signature": signature, "blinded": blinded.blinded}
    values["modulus"] = KEY.modulus
    changed = bytearray(values[part])
    changed[bit // 8] ^= 1 << bit % 8
    values[part] = bytes(changed)
    message = blinded.message[:-256] + values["message"]
    if part == "blinded":
        with pytest.raises(BlindSignatureError):
            blind.finish(blinded, KEY.sign(values["blinded"]))
        return
    try:
        assert not blind.verify(values["modulus"], message, values["signature"])
    except BlindSignatureError:
        assert part == "modulus"


def test_values_of_another_size_are_refused():
    blinded, signature = signed(b"m")
    n = int.from_bytes(KEY.modulus)
    for wrong in (b"", signature[1:], signature + b"\0", n.to_bytes(256), bytes([255]) * 256):
        assert not blind.verify(KEY.modulus, blinded.message, wrong)
        with pytest.raises(BlindSignatureError):
            blind.finish(blinded, wrong)
        with pytest.raises(BlindSignatureError):
            KEY.sign(wrong if len(wrong) != 256 or int.from_bytes(wrong) >= n else b"")
    for modulus in (b"", bytes(256), KEY.modulus[1:], b"\0" + KEY.modulus, (n - 1).to_bytes(256), b"\xff" * 128):
        with pytest.raises(BlindSignatureError):
            blind.blind(modulus, b"m")


def test_a_signature_by_another_key_does_not_verify():
    blinded, _ = signed(b"m")
    _, foreign = signed(b"m", PrivateKey(OTHER.p, OTHER.q, OTHER.d))
    assert not blind.verify(KEY.modulus, blinded.message, foreign)


def test_a_fault_in_the_signing_gives_nothing_out():
    faulty = PrivateKey(KEY.p, KEY.q, KEY.d + 2)
    with pytest.raises(BlindSignatureError, match="came out wrong"):
        faulty.sign(blind.blind(KEY.modulus, b"m").blinded)
    with pytest.raises(InvalidSignature):
        MADE.public_key().verify(bytes(256), b"m", PADDING, SHA384())
