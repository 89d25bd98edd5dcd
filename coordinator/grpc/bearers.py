"""Operators who show a token (OpenID Connect) of the organisation's identity provider."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.errors import SettingError
from coordinator.grpc.operators import ACCOUNT, Operator, Role
from coordinator.grpc.status import Context
from fedau2.wire.errors import KeySetError, TokenError

if TYPE_CHECKING:
    from fedau2.tokens import Issuer

_SCHEME = "bearer "


@dataclass(frozen=True)
class TokenRules:
    """The tokens that are accepted.

    Attributes:
        keys: JWKS file of the identity provider's public keys.
        issuer: `iss` of every token.
        audience: `aud` of every token.
        claim: name of the claim that has the role, or a list with roles among other texts; the highest counts.
    """

    keys: Path
    issuer: str
    audience: str
    claim: str

    def bearers(self, clock: Callable[[], float] = time.time) -> "Bearers":
        """Makes what names callers by these tokens.

        Raises:
            SettingError: the file of keys cannot be used.
        """
        from fedau2.tokens import Issuer  # here, because it alone needs PyJWT

        try:
            return Bearers(Issuer(self.keys, self.issuer, self.audience), self.claim, clock)
        except KeySetError as error:
            raise SettingError(f"admin_token_keys cannot be used: {error}") from error


class Bearers:
    """Names callers by their tokens; an `operators.ByToken`.

    Args:
        issuer: of the tokens.
        claim: as in `TokenRules`.
        clock: seconds since 1970.
    """

    def __init__(self, issuer: "Issuer", claim: str, clock: Callable[[], float]) -> None:
        self._issuer, self._claim, self._clock = issuer, claim, clock

    def __call__(self, context: Context) -> Operator | None:
        """Returns the caller; one whose token is not accepted has no role, whatever else it shows."""
        metadata: Any = context.invocation_metadata() or ()
        shown = [value for name, value in metadata if name == "authorization"]
        if not shown:
            return None
        if len(shown) > 1 or not isinstance(shown[0], str) or not shown[0].lower().startswith(_SCHEME):
            return Operator("a caller without one bearer token", None, "show one token", proven=False)
        try:
            claims = self._issuer.claims(shown[0][len(_SCHEME) :].encode(), self._clock())
        except TokenError as error:
            return Operator("a caller", None, str(error), proven=False)
        if not claims["sub"].isprintable():
            return Operator("a token whose account is not printable", None, "show another")
        return Operator(ACCOUNT + claims["sub"], _role(claims.get(self._claim)), f"its claim {self._claim} names none")


def _role(claimed: object) -> Role | None:
    """Returns the highest role among the texts of a claim; None: it has no role."""
    texts = claimed if isinstance(claimed, list) else [claimed]
    return max((role for role in Role if role.name.lower() in texts), default=None)
