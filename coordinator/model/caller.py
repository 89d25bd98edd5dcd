"""The caller of a device's method, as the transport knows it."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """A caller, as far as a transport knows it.

    Attributes:
        address: of the network; empty: the caller is in this process, or on a unix socket.
        certificate: the subject of the certificate that it has shown; empty: it has shown none.
    """

    address: str = ""
    certificate: str = ""


CALLER: ContextVar[Caller] = ContextVar("caller", default=Caller())  # noqa: B039 - it is frozen
"""The caller of the method that this task answers."""
