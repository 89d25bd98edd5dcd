"""Tokens (JWT) of an identity provider, checked against its public keys (JWKS) in a file. Needs PyJWT.

The file is read again when it changes, because providers change their keys. While it cannot be read, or has no key that
can be used, no token is accepted: whoever takes the keys away means it.
"""

import json
import logging
import math
import warnings
from pathlib import Path
from typing import Any

import jwt
import jwt.types
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from fedau2.wire.errors import KeySetError, TokenError

_log = logging.getLogger(__name__)

_SHORTEST_RSA = 2048
_OPTIONS: jwt.types.Options = {
    "require": ["exp", "iss", "aud", "sub"],
    "verify_exp": False,  # this and the next two are checked here, by the caller's time
    "verify_nbf": False,
    "verify_iat": False,
}

_LEEWAY = 60
"""Seconds by which clocks may differ."""


class Issuer:
    """Reads the tokens of one issuer for one audience.

    Args:
        path: the JWKS file.
        name: `iss` of every token.
        audience: `aud` of every token. Choose one that no other service takes: who sees a token can show it too.

    Raises:
        KeySetError: the file cannot be read, or has no key that can be used.
    """

    def __init__(self, path: Path, name: str, audience: str) -> None:
        self._path, self._name, self._audience = path, name, audience
        self._version = _version(path)  # before the keys, so that a change in between is seen
        self._keys = read_keys(path)
        self._failure = ""

    def claims(self, token: bytes, now: float) -> dict[str, Any]:
        """Returns the claims of a token; its `sub` is a text that is not empty.

        Args:
            token: as it was shown.
            now: seconds since 1970.

        Raises:
            TokenError: it is not accepted. The text never quotes it.
        """
        self._refresh()
        try:
            text = token.decode("ascii")
            key = self._key(jwt.get_unverified_header(text))
            claims: dict[str, Any] = jwt.decode(
                text,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._name,
                leeway=_LEEWAY,
                options=_OPTIONS,
            )
            _expect_current(claims, now)
            subject = str(claims["sub"])
            subject.encode()
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise TokenError(f"the token is not accepted ({type(error).__name__}): show a new one") from error
        if not subject:
            raise TokenError("the token names no account")
        return claims | {"sub": subject}

    def _key(self, header: dict[str, object]) -> jwt.PyJWK:
        """Returns the key that a token names, or the only one. Its own algorithm is used, whatever the token says."""
        name = header.get("kid")
        chosen = [key for key in self._keys if name is None or key.key_id == name]
        if len(chosen) != 1:
            raise jwt.InvalidTokenError("no key of the file is named by the token")
        if header.get("alg") != chosen[0].algorithm_name:
            raise jwt.InvalidAlgorithmError("the token is signed in another way than its key is for")
        return chosen[0]

    def _refresh(self) -> None:
        """Reads the file again if it has changed, or could not be used. The log has one line for each new failure."""
        version = _version(self._path)
        if version == self._version and self._keys:
            return
        self._version, self._keys, failure = version, [], ""
        try:
            self._keys = read_keys(self._path)
        except KeySetError as error:
            failure = str(error)
        if failure and failure != self._failure:
            _log.error("no token is accepted: %s", failure)
        self._failure = failure


def _version(path: Path) -> tuple[int, int, int, int] | None:
    """Returns what changes when the file does; None: it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _expect_current(claims: dict[str, Any], now: float) -> None:
    """Returns if a token is valid at a time; its times are numbers."""
    expires, begins = claims["exp"], claims.get("nbf", 0)
    for time in (expires, begins):
        if not isinstance(time, int | float) or not math.isfinite(time):
            raise jwt.DecodeError("a time of the token is not a number")
    if now >= expires + _LEEWAY:
        raise jwt.ExpiredSignatureError("the token has expired")
    if now < begins - _LEEWAY:
        raise jwt.ImmatureSignatureError("the token is not valid yet")


def read_keys(path: Path) -> list[jwt.PyJWK]:
    """Reads the keys of a JWKS file that can be used: RSA from 2048 bits on, P-256 and Ed25519, for signatures.

    Raises:
        KeySetError: the file cannot be read, or has none.
    """
    try:
        entries = json.loads(path.read_text("utf-8"))["keys"]
        keys = [key for entry in entries if (key := _usable(entry)) is not None]
    except OSError as error:
        raise KeySetError(f"the identity provider's keys {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise KeySetError(f"{path} is not a JWKS file: it has no JSON object with a list of keys") from error
    if not keys:
        raise KeySetError(f"{path} has no key for RS256, ES256 or EdDSA that can be used")
    return keys


def _usable(entry: object) -> jwt.PyJWK | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or "d" in entry or "k" in entry:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of short keys, which are left out below
            key = jwt.PyJWK(entry)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, NotImplementedError):  # the last for "none"
        return None
    public = key.key
    fits = {
        "RS256": isinstance(public, RSAPublicKey) and public.key_size >= _SHORTEST_RSA,
        "ES256": isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1),
        "EdDSA": isinstance(public, Ed25519PublicKey),
    }
    return key if fits.get(key.algorithm_name, False) else None
