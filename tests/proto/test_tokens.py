"""The keys of an issuer of tokens. What becomes of tokens is tested where devices enrol and operators call."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from fedau2.tokens import read_keys
from fedau2.wire.errors import KeySetError
from tests.identity_provider import KEYS, jwk, write


def test_files_without_a_key_that_can_be_used_are_refused(tmp_path):
    path = tmp_path / "jwks.json"
    with pytest.raises(KeySetError, match="cannot be read"):
        read_keys(path)
    for text in ("", "[]", "{}", '{"keys": 3}', "[" * 100_000, '{"keys": "abc"}'):
        path.write_text(text)
        with pytest.raises(KeySetError):
            read_keys(path)
    short, wide = generate_rsa(65537, 1024), generate_private_key(SECP384R1())
    unusable = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
        json.loads(RSAAlgorithm.to_jwk(short.public_key())),
        json.loads(ECAlgorithm.to_jwk(wide.public_key())),
        json.loads(ECAlgorithm.to_jwk(wide.public_key())) | {"alg": "ES256"},
        jwk("RS256", KEYS["RS256"], alg="RS512"),
        jwk("ES256", KEYS["ES256"], use="enc"),
        jwk("ES256", KEYS["ES256"], alg="none"),
        {"kty": "RSA"},
        {},
        None,
        5,
    ]
    for entry in unusable:
        with pytest.raises(KeySetError, match="no key"):
            read_keys(write(path, entry))
    assert len(read_keys(write(path, *unusable, jwk("EdDSA", KEYS["EdDSA"])))) == 1
