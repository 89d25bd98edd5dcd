"""Tokens: only the issuer's, for this audience, in time, and by one of its keys, enrol. An account has one device."""

import base64
import hashlib
import hmac
import json
import time
from contextlib import closing

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_TOKEN
from tests import identity_provider
from tests.identity_provider import ISSUER, KEYS, jwk, write
from tests.unmasker.device import Clock, Device
from tests.unmasker.engine.test_enrolment import pseudonym, revoke, verdicts
from unmasker import Books, Rules, StateFolder, Unmasker
from unmasker.errors import EvidenceError, KeySetError, RevokedError
from unmasker.evidence.tokens import Tokens

AUDIENCE = "fedau2-unmasker"


@pytest.fixture
def jwks(tmp_path):
    return write(tmp_path / "jwks.json")


@pytest.fixture
def opened(tmp_path, jwks):
    clock, folder = Clock(), StateFolder(tmp_path / "state")
    with closing(Unmasker(Books.make(folder, None, clock), Rules((Tokens(jwks, ISSUER, AUDIENCE),)))) as made:
        yield made


def token(unmasker, algorithm="ES256", key=None, kid=None, **fields):
    return identity_provider.token(unmasker.books.clock.now, AUDIENCE, algorithm, key, kid, **fields)


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def part(value):
    return encoded(json.dumps(value).encode())


def enrol(unmasker, evidence, device=None):
    request = (device or Device()).request(unmasker.books.keys.public.identity, EVIDENCE_CLASS_TOKEN, evidence)
    return unmasker.enrol(request).certificate


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_token_by_any_key_of_the_file_enrols(opened, algorithm):
    assert verdicts(opened, enrol(opened, token(opened, algorithm))) == [True]
    assert enrol(opened, token(opened, algorithm, aud=["other", AUDIENCE], sub="user-2"))


WRONG = {
    "expired": {"exp": -61},
    "not yet valid": {"nbf": 61},
    "another audience": {"aud": "coordinator"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://evil.example.com"},
    "no issuer": {"iss": None},
    "no end": {"exp": None},
    "an end that is text": {"exp": "never"},
    "an end that is no number": {"exp": float("nan")},
    "an end beyond every float": {"exp": 10**400},
    "a beginning beyond every float": {"nbf": 10**400},
    "no account": {"sub": None},
    "an empty account": {"sub": ""},
    "an account that is a number": {"sub": 5},
}


@pytest.mark.parametrize("why", WRONG)
def test_claims_that_are_not_right_enrol_nobody(opened, why):
    now = opened.books.clock.now
    fields = {
        name: now + value if isinstance(value, int) and name in ("exp", "nbf") and value < 10**9 else value
        for name, value in WRONG[why].items()
    }
    payload = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "exp": now + 300} | fields
    payload = {name: value for name, value in payload.items() if value is not None}
    signed = jwt.PyJWS().encode(json.dumps(payload).encode(), KEYS["ES256"], "ES256", headers={"kid": "ES256"})
    with pytest.raises(EvidenceError) as raised:
        enrol(opened, signed.encode())
    assert "user-1" not in str(raised.value)
    assert opened.books.clock.now  # the clock of the unmasker judges, not that of this machine
    assert abs(now - time.time()) > 1000


def test_the_clocks_may_differ_by_a_minute(opened):
    now = opened.books.clock.now
    assert enrol(opened, token(opened, exp=now - 59, nbf=now + 59))


def test_signatures_that_are_not_right_enrol_nobody(opened):
    good = token(opened)
    head, body, signature = good.split(b".")
    stranger = generate_private_key(SECP256R1())
    public = KEYS["RS256"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    unsigned = jwt.encode(jwt.decode(good, options={"verify_signature": False}), None, "none", headers={"kid": "ES256"})
    forged = [
        unsigned.encode(),
        unsigned.replace("none", "None").encode(),
        head + b"." + body + b".",
        b".".join([unsigned.encode().split(b".")[0], body, signature]),
        token(opened, key=stranger),
        token(opened, kid="unheard of"),
        token(opened, kid=""),  # three keys, and the token does not say by which
        token(opened, "RS256", kid="ES256"),
        b".".join([head, body[:-2] + b"AA", signature]),
        b"",
        b".",
        b"..",
        b"not a token",
        b"\xff\xfe",
        good + b".x",
    ]

    confused = part({"alg": "HS256", "kid": "RS256", "typ": "JWT"}) + b"." + body  # the public key as a shared secret
    tag = encoded(hmac.digest(public, confused, hashlib.sha256))
    for evidence in [*forged, confused + b"." + tag]:
        with pytest.raises(EvidenceError):
            enrol(opened, evidence)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kid", "alg", "crit", "b64"]), inner),
    max_leaves=5,
)
HEADERS = st.dictionaries(
    st.sampled_from(["kid", "alg", "crit", "b64", "typ", "jwk", "jku", "x5c", "zip"]),
    JSON | st.sampled_from(["ES256", "RS256", "none", "HS256"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.binary(max_size=60) | HEADERS, st.binary(max_size=20))
def test_whatever_a_token_claims_of_itself_it_is_refused_as_evidence(opened, head, signature):
    body = token(opened).split(b".")[1]
    evidence = head if isinstance(head, bytes) else b".".join([part(head), body, encoded(signature)])
    with pytest.raises(EvidenceError):
        enrol(opened, evidence)


def test_a_token_that_is_nested_without_end_is_refused_as_evidence(opened):
    for deep in (b"[" * 5000, b'{"a":' * 1000):
        with pytest.raises(EvidenceError):
            enrol(opened, encoded(deep) + b".e30.")


def test_an_account_has_one_valid_certificate_and_keeps_its_pseudonym(opened):
    phone, tablet = Device(), Device()
    first = enrol(opened, token(opened), phone)
    assert enrol(opened, token(opened, "EdDSA"), phone) == first
    second = enrol(opened, token(opened), tablet)
    assert pseudonym(second) == pseudonym(first), "so that whoever changes devices has no second budget"
    assert verdicts(opened, first) == [False]
    assert verdicts(opened, second) == [True]
    other = enrol(opened, token(opened, sub="user-2"))
    assert verdicts(opened, second, other) == [True, True]


def test_a_revoked_account_does_not_come_back_with_another_key(opened):
    revoke(opened, enrol(opened, token(opened)))
    with pytest.raises(RevokedError):
        enrol(opened, token(opened))


def test_no_account_is_in_the_files(opened):
    enrol(opened, token(opened, sub="canary@example.com"))
    for path in opened.books.folder.path.iterdir():
        assert b"canary" not in path.read_bytes()


def test_a_changed_file_is_read_again_and_a_damaged_one_lets_nobody_in(opened, jwks):
    rotated = generate_private_key(SECP256R1())
    with pytest.raises(EvidenceError):
        enrol(opened, token(opened, key=rotated, kid="new"))
    write(jwks, jwk("ES256", rotated, kid="new"))
    assert enrol(opened, token(opened, key=rotated, kid="new"))
    assert enrol(opened, token(opened, key=rotated, kid="", sub="user-2")), "the file has one key"
    with pytest.raises(EvidenceError):
        enrol(opened, token(opened))
    jwks.write_text("damaged")
    with pytest.raises(EvidenceError):
        enrol(opened, token(opened, key=rotated, kid="new", sub="user-3"))
    write(jwks, jwk("ES256", rotated, kid="new"))
    assert enrol(opened, token(opened, key=rotated, kid="new", sub="user-3"))


def test_a_file_that_cannot_be_used_is_refused(tmp_path):
    with pytest.raises(KeySetError, match="cannot be read"):
        Tokens(tmp_path / "jwks.json", ISSUER, AUDIENCE)
