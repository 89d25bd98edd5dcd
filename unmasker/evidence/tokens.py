"""Tokens (JWT) of the app's identity provider, checked against its public keys (JWKS) in a file."""

from pathlib import Path

from fedau2 import tokens
from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_TOKEN
from fedau2.wire import errors
from unmasker.errors import EvidenceError, KeySetError
from unmasker.evidence.provider import Claim
from unmasker.store.books import Page


class Tokens:
    """Accepts tokens of one issuer for one audience. An account has one certificate at a time.

    Args:
        path: the JWKS file.
        issuer: `iss` of every token.
        audience: `aud` of every token. Choose one that no other service takes: who sees a token can enrol with it.

    Raises:
        KeySetError: the file cannot be read, or has no key that can be used.
    """

    evidence_class = EVIDENCE_CLASS_TOKEN

    def __init__(self, path: Path, issuer: str, audience: str) -> None:
        self._name = issuer
        try:
            self._issuer = tokens.Issuer(path, issuer, audience)
        except errors.KeySetError as error:
            raise KeySetError(str(error)) from error

    def check(self, evidence: bytes, public_key: bytes, page: Page) -> Claim:
        """As `Provider.check`: the holder is the issuer's `sub`."""
        try:
            claims = self._issuer.claims(evidence, page.now)
        except errors.TokenError as error:
            raise EvidenceError(str(error)) from error
        return Claim(self._name.encode() + b"\0" + claims["sub"].encode(), moves=True)
