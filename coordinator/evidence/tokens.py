"""Tokens (JWT) of the app's identity service, checked against its public keys (JWKS) in a file."""

from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import EvidenceError, SettingError
from coordinator.model.caller import Caller
from fedau2.tokens import Issuer
from fedau2.wire.errors import KeySetError, TokenError


@dataclass(frozen=True)
class Tokens:
    """Accepts tokens: an account is one identity; a `Provider`.

    Attributes:
        issuer: of the tokens.
    """

    issuer: Issuer

    def holder(self, evidence: bytes, caller: Caller, now: float) -> bytes:
        """As `Provider.holder`: the identity is the token's `sub`."""
        try:
            subject: str = self.issuer.claims(evidence, now)["sub"]
        except TokenError as error:
            raise EvidenceError(str(error)) from error
        return subject.encode()


def tokens(keys: Path, issuer: str, audience: str) -> Tokens:
    """Makes the provider of the tokens of one issuer for one audience.

    Raises:
        SettingError: the file of keys cannot be used.
    """
    try:
        return Tokens(Issuer(keys, issuer, audience))
    except KeySetError as error:
        raise SettingError(f"admission_token_keys cannot be used: {error}") from error
