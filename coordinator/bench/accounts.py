"""An identity service of the benchmarks' own: it makes the tokens with which devices are admitted to rounds."""

import json
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

ISSUER, AUDIENCE = "https://login.example.com", "fedau2-devices"


class Accounts:
    """The accounts, with one key that signs all tokens.

    Args:
        path: file to which the public key is written, as a JWKS.
    """

    def __init__(self, path: Path) -> None:
        from jwt.algorithms import ECAlgorithm  # here, because PyJWT takes long to load

        self.path, self._key = path, generate_private_key(SECP256R1())
        path.write_text(json.dumps({"keys": [json.loads(ECAlgorithm.to_jwk(self._key.public_key()))]}))

    @property
    def settings(self) -> tuple[str, ...]:
        """The flags with which a coordinator admits these accounts."""
        keys, by = ("--admission-token-keys", str(self.path)), ("--admissions", "token")
        return (*by, *keys, "--admission-token-issuer", ISSUER, "--admission-token-audience", AUDIENCE)

    def token(self, account: str) -> bytes:
        """Makes a token that is good for a day."""
        import jwt

        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": account, "exp": time.time() + 86_400}
        return jwt.encode(claims, self._key, "ES256").encode()
