"""An identity provider for tests: its keys, its JWKS file and its tokens."""

import json

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://login.example.com"
MAKERS = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
KEYS = {
    "RS256": generate_rsa(65537, 2048),
    "ES256": generate_private_key(SECP256R1()),
    "EdDSA": Ed25519PrivateKey.generate(),
}


def jwk(algorithm, key, **fields):
    """Returns the public half of a key as an entry of a JWKS file."""
    return json.loads(MAKERS[algorithm].to_jwk(key.public_key())) | {"kid": algorithm, "use": "sig"} | fields


def write(path, *entries):
    """Writes a JWKS file with some entries, or with all keys; returns its path."""
    path.write_text(json.dumps({"keys": entries or [jwk(name, key) for name, key in KEYS.items()]}))
    return path


def token(now, audience, algorithm="ES256", key=None, kid=None, **fields):
    """Makes a token of "user-1" that is valid for five minutes from `now` on; fields that are None are left out."""
    claims = {"iss": ISSUER, "aud": audience, "sub": "user-1", "exp": now + 300, "iat": now} | fields
    claims = {name: value for name, value in claims.items() if value is not None}
    headers = {} if kid == "" else {"kid": kid or algorithm}
    return jwt.encode(claims, key or KEYS[algorithm], algorithm, headers=headers).encode()
