"""The entry of an address: it notes who calls, and turns away the network address that calls too much."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any
from urllib.parse import unquote

from coordinator.engine.limited import Limited
from coordinator.grpc.status import Context
from coordinator.model.caller import CALLER, Caller


class Callers:
    """Lets calls through, within the limits of their network addresses.

    Args:
        limited: gives the limits; None while the coordinator starts, when no call is limited.
    """

    def __init__(self, limited: Callable[[], Limited | None]) -> None:
        self._limited = limited

    @contextmanager
    def passing(self, context: Context) -> Iterator[None]:
        """Runs a block, which reads and answers a call, with its caller noted; a `parsing.Entry`.

        Raises:
            BusyError: the caller's address is beyond its limits.
        """
        CALLER.set(Caller(_address(context.peer() or ""), _subject(context.auth_context() or {})))
        limited = self._limited()
        with nullcontext() if limited is None else limited.call():
            yield


def _address(peer: str) -> str:
    """Returns the network address of a peer as gRPC names it, such as "ipv6:%5B::1%5D:4711"; empty: it has none."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return ""
    return unquote(rest).rpartition(":")[0].strip("[]")


def _subject(shown: Mapping[str, Any]) -> str:
    subjects = [value.decode("utf-8", "replace") for value in shown.get("x509_subject", [])]
    return subjects[0] if len(subjects) == 1 else ""
