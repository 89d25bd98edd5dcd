"""The keys of an issuer of tokens. What becomes of tokens is tested where devices enrol and operators call."""

import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from fedau2.tokens import Issuer, read_keys
from fedau2.wire.errors import KeySetError, TokenError
from tests.identity_provider import ISSUER, KEYS, jwk, token, write

BAD = {
    "emptied": lambda path: path.write_text('{"keys": []}'),
    "damaged": lambda path: path.write_text("damaged"),
    "removed": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


def accepted(issuer):
    try:
        return issuer.claims(token(time.time(), "here"), time.time())["sub"] == "user-1"
    except TokenError:
        return False


@pytest.mark.parametrize("change", BAD)
def test_keys_that_are_taken_away_let_nobody_in_and_the_log_says_so_once(tmp_path, change, caplog):
    path = write(tmp_path / "jwks.json")
    issuer = Issuer(path, ISSUER, "here")
    assert accepted(issuer)
    BAD[change](path)
    assert [accepted(issuer) for _ in range(3)] == [False] * 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert caplog.text.count("no token is accepted: ") == 1
    if path.is_dir():
        path.rmdir()
    assert accepted(Issuer(write(path), ISSUER, "here"))
    assert accepted(issuer), "the keys are back"


@pytest.mark.parametrize(("skew", "good"), [(-61, False), (-60, True), (0, True), (359, True), (360, False)])
def test_clocks_may_differ_by_a_minute(tmp_path, skew, good):
    """Of the coordinator against the provider of identities, whose tokens are valid for five minutes."""
    issuer, now = Issuer(write(tmp_path / "jwks.json"), ISSUER, "here"), 1_000_000
    shown = token(now, "here", nbf=now)
    if good:
        assert issuer.claims(shown, now + skew)["sub"] == "user-1"
    else:
        with pytest.raises(TokenError, match="Immature" if skew < 0 else "Expired"):
            issuer.claims(shown, now + skew)


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
