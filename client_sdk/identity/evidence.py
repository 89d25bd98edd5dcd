"""Evidence that a device is one of the app's, as the app gives it."""

import inspect
from collections.abc import Awaitable, Callable

from client_sdk.errors import CredentialsError, UsageError
from fedau2.v1.unmasker_pb2 import (
    EVIDENCE_CLASS_INVITATION,
    EVIDENCE_CLASS_OPEN,
    EVIDENCE_CLASS_TOKEN,
    EvidenceClass,
)

Evidence = bytes | str | Callable[[], bytes | str | Awaitable[bytes | str]]
"""A code or a token, or a function that returns one. The function is called only if a certificate is needed. Only an
`AsyncFedClient` takes one that returns an awaitable."""

_CLASSES: dict[str, EvidenceClass.ValueType] = {
    "open": EVIDENCE_CLASS_OPEN,
    "invitation": EVIDENCE_CLASS_INVITATION,
    "token": EVIDENCE_CLASS_TOKEN,
}
_MOST = 8 * 1024


def evidence_class(kind: str) -> EvidenceClass.ValueType:
    """Returns the class of a kind of evidence.

    Raises:
        UsageError: there is no such kind.
    """
    if not isinstance(kind, str) or kind not in _CLASSES:
        raise UsageError(f"kind must be {', '.join(map(repr, _CLASSES))}, not {kind!r}")
    return _CLASSES[kind]


def read(evidence: Evidence) -> bytes:
    """Returns the bytes of evidence. No error quotes them.

    Raises:
        CredentialsError: the app's function failed.
        UsageError: it is of another type, or longer than 8 KiB.
    """
    value: object = evidence
    if callable(evidence):
        try:
            value = evidence()
        except Exception as error:  # its text may quote a token
            raise CredentialsError(f"the app's function for evidence raised {type(error).__name__}") from error
    if inspect.iscoroutine(value):
        value.close()
        raise UsageError("evidence is a coroutine function, which only an AsyncFedClient can await")
    data = value.encode(errors="replace") if isinstance(value, str) else value
    if not isinstance(data, bytes) or len(data) > _MOST:
        raise UsageError(f"evidence must be bytes or a string of at most {_MOST} bytes, or a function that returns one")
    return data
