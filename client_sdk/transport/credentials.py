"""Credentials of a device: metadata such as a token, and a certificate. Neither is ever logged."""

import inspect
import re
import traceback
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from client_sdk.errors import CredentialsError, UsageError
from client_sdk.transport.offloading import awaited_on
from fedau2.wire.errors import CertificateError

if TYPE_CHECKING:
    from fedau2.wire.certificates import Identity

Pairs = tuple[tuple[str, str | bytes], ...]
"""Names and values of metadata."""

Metadata = Callable[[], Iterable[tuple[str, str | bytes]] | Awaitable[Iterable[tuple[str, str | bytes]]]]
"""An app's function that returns names and values. Only an `AsyncFedClient` takes one that returns an awaitable."""

MOST = 6 * 1024
"""Most bytes of a call's metadata, with 32 for each pair, as HTTP/2 counts them. gRPC takes 8 KiB with its own."""

_OVERHEAD = 32
_NAME = re.compile(r"[0-9a-z_.-]{1,256}")
_TEXT = re.compile(r"[\x20-\x7e]*")
_RESERVED = ("grpc-", "fedau2-")
_HEADERS = {"content-type", "user-agent", "host", "connection"}
"""Names that HTTP/2 and gRPC set themselves."""


@dataclass(frozen=True, eq=False)
class Credentials:
    """A device shows these to the coordinator, or to a proxy before it, over TLS or within this machine.

    Attributes:
        metadata: a function that returns pairs of a name and a value, for example ("authorization", "Bearer ..."). It
            is called before each call to the coordinator, on the thread of the sync, so it should keep a token while
            that is valid and have a timeout of its own. In an `AsyncFedClient` it is called in a thread, or is a
            coroutine function. Values are texts of ASCII, or bytes where a name ends with "-bin".
        certificate: PEM of the device's certificate, followed by those of the authorities between it and the root.
        key: PEM of its private key, without a password.

    Raises:
        UsageError: the metadata is not a function, there is a certificate without its key or the other way round, or
            the two cannot be used together. A certificate may have expired before a sync.
    """

    metadata: Metadata | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.metadata is not None and not callable(self.metadata):
            raise UsageError(f"metadata must be a function, not {type(self.metadata).__name__}")
        pair = (self.certificate, self.key)
        if pair == (None, None):
            return
        if not all(isinstance(part, bytes) for part in pair):
            raise UsageError("certificate and key go together: give the bytes of two PEM files")
        try:
            self._identity()
        except CertificateError as error:
            raise UsageError(str(error)) from error

    def expect_current(self) -> None:
        """Returns unless there is a certificate that is not valid now.

        Raises:
            CredentialsError: it has expired, or is not valid yet.
        """
        try:
            if self.certificate is not None:
                self._identity().expect_current()
        except CertificateError as error:
            raise CredentialsError(str(error)) from error

    def awaited_on(self, loop: AbstractEventLoop) -> Self:
        """Returns the same credentials with a function that blocks, for threads other than the loop's."""
        function = self.metadata
        return self if function is None else replace(self, metadata=awaited_on(function, loop))

    def _identity(self) -> "Identity":
        from fedau2.wire import certificates  # here, because most apps have no certificate

        return certificates.identity(self.certificate or b"", self.key or b"", ("the client certificate", "its key"))


class Caller:
    """Asks an app for the metadata of one sync's calls.

    Args:
        function: the app's; None: there is no metadata.
    """

    def __init__(self, function: Metadata | None) -> None:
        self._function, self._newest = function, Pairs()

    @property
    def asks(self) -> bool:
        """True if the app's function is to be called for the next call."""
        return self._function is not None

    def pairs(self) -> Pairs:
        """Returns the metadata of the next call. After a failure it is that of the call before.

        Raises:
            CredentialsError: the function failed, or returned what cannot be sent. The sync ends by it, and may still
                give a place back with the metadata that it had.
        """
        function, self._function = self._function, None
        if function is not None:
            try:
                self._newest = _checked(function())
            except CredentialsError:
                raise
            except Exception as error:
                what = f"the app's function for metadata raised {type(error).__name__}{_place(error)}"
                raise CredentialsError(what) from None  # its text may quote a token, and tracebacks are sent to others
            self._function = function
        return self._newest


def _place(error: Exception) -> str:
    """Names the line of code that raised an error, without anything that it says."""
    lines = traceback.extract_tb(error.__traceback__)
    return f" in {Path(lines[-1].filename).name}, line {lines[-1].lineno}" if lines else ""


def _checked(given: object) -> Pairs:
    if inspect.iscoroutine(given):
        given.close()
        raise CredentialsError("metadata is a coroutine function, which only an AsyncFedClient can await")
    pairs = tuple(_pair(pair) for pair in given) if isinstance(given, Iterable) else None
    if pairs is None:
        raise CredentialsError(f"metadata must return pairs of a name and a value, not {type(given).__name__}")
    size = sum(_OVERHEAD + len(name) + len(value) for name, value in pairs)
    if size > MOST:
        raise CredentialsError(f"metadata has {size} bytes, and a call takes at most {MOST}")
    return pairs


def _pair(pair: object) -> tuple[str, str | bytes]:
    name, value = pair if isinstance(pair, tuple | list) and len(pair) == 2 else (None, None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CredentialsError("metadata must be pairs of a name, of lower-case letters, digits and _.-, and a value")
    if name.startswith(_RESERVED) or name in _HEADERS:
        raise CredentialsError(f"metadata {name!r} is reserved: choose another name")
    if name.endswith("-bin"):
        fits = isinstance(value, bytes)
    else:
        fits = isinstance(value, str) and _TEXT.fullmatch(value) is not None
    if not fits:
        raise CredentialsError(f"metadata {name!r} must be a text of ASCII, or bytes if its name ends with -bin")
    return name, value  # type: ignore[return-value]
