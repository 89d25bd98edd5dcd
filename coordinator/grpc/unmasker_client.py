"""Calls to an unmasker over gRPC."""

from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import grpc

from coordinator.errors import SettingError, UnmaskerError
from fedau2.renewal import Renewed
from fedau2.v1.unmasker_pb2 import (
    CloseRoundRequest,
    OpenRoundRequest,
    OpenRoundResponse,
    OpenSumRequest,
    OpenSumResponse,
    StatusRequest,
    StatusResponse,
)
from fedau2.v1.unmasker_pb2_grpc import UnmaskServiceStub
from fedau2.wire import addresses, certificates
from fedau2.wire.errors import CertificateError, IdentityError

if TYPE_CHECKING:
    from fedau2.v1.unmasker_pb2_grpc import UnmaskServiceAsyncStub

_SHORT = 30.0
"""Most seconds of a call that opens no sum."""

_LONG = 3600.0
"""Most seconds in which a sum is opened. A connection that is dead is noticed before."""

_OPTIONS = [
    ("grpc.keepalive_time_ms", 300_000),  # servers take no more pings while nothing is sent
    ("grpc.keepalive_timeout_ms", 20_000),
    # Whoever calls waits between two calls that fail, so the connection need not.
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]

_T = TypeVar("_T")


@dataclass(frozen=True)
class ClientShown:
    """The certificate that the coordinator shows and the authorities that it trusts, as they were read.

    Attributes:
        credentials: of a connection.
        ends: end of the coordinator's certificate, in seconds since 1970; None: it shows none.
    """

    credentials: grpc.ChannelCredentials
    ends: float | None


@dataclass(frozen=True)
class ClientTls:
    """PEM files for TLS to an unmasker.

    Attributes:
        authorities: the authorities of the unmasker's certificate; None: those of the system.
        certificate: the coordinator's certificate, followed by those between it and the root; None: it shows none.
        key: the certificate's private key.
    """

    authorities: Path | None
    certificate: Path | None
    key: Path | None

    @cached_property
    def renewed(self) -> Renewed[ClientShown]:
        """The newest files that can be used.

        Raises:
            SettingError: a file cannot be read, or they cannot be used together, at the first use.
        """
        paths = [path for path in (self.certificate, self.key, self.authorities) if path is not None]
        return Renewed("the certificate that is shown to the unmasker", paths, self.read, SettingError)

    def read(self) -> ClientShown:
        """Reads the files and checks them.

        Raises:
            SettingError: a file cannot be read, or they cannot be used together now.
        """
        ends = None
        authorities, chain, key = (
            None if path is None else _read(setting, path)
            for setting, path in (
                ("unmasker_tls_ca", self.authorities),
                ("unmasker_tls_certificate", self.certificate),
                ("unmasker_tls_key", self.key),
            )
        )
        try:
            if authorities is not None:
                certificates.check_authorities(authorities, f"unmasker_tls_ca {self.authorities}")
            if chain is not None and key is not None:
                names = (f"unmasker_tls_certificate {self.certificate}", f"unmasker_tls_key {self.key}")
                shown = certificates.identity(chain, key, names)
                shown.expect_current()
                ends = shown.ends
        except CertificateError as error:
            raise SettingError(str(error)) from error
        return ClientShown(grpc.ssl_channel_credentials(authorities, key, chain), ends)


def identity(path: Path) -> bytes:
    """Reads the identity key of an unmasker, as `fedau2-unmasker init` prints it.

    Raises:
        SettingError: the file cannot be read, or is not such a key.
    """
    try:
        from fedau2.wire.identity import signing  # here, because it needs `cryptography`
    except ImportError as error:
        raise SettingError(f"unmasker needs a missing package: {error}; pip install 'fedau2[secure]'") from error
    try:
        return signing.read_public(_read("unmasker_key", path))
    except IdentityError as error:
        raise SettingError(f"unmasker_key {path}: {error}") from error


class UnmaskerClient:
    """A connection to an unmasker's address for coordinators. Used on one event loop.

    Args:
        address: a checked address.
        tls: for the connection; None: plaintext.
    """

    def __init__(self, address: str, tls: ClientTls | None = None) -> None:
        self._address, self._tls = address, tls
        self._shown = None if tls is None else tls.renewed.newest()
        self._channel = self._connected()
        self._replaced = list[grpc.aio.Channel]()

    def _connected(self) -> grpc.aio.Channel:
        target, options = addresses.channel(self._address)
        if self._shown is None:
            return grpc.aio.insecure_channel(target, [*options, *_OPTIONS])
        return grpc.aio.secure_channel(target, self._shown.credentials, [*options, *_OPTIONS])

    @property
    def _stub(self) -> "UnmaskServiceAsyncStub":
        """Calls over a connection with the newest files. Calls over an older one go on to their end."""
        if self._tls is not None and (shown := self._tls.renewed.newest()) is not self._shown:
            self._shown = shown
            self._replaced.append(self._channel)  # the unmasker ends it when it is idle
            self._channel = self._connected()
        return UnmaskServiceStub(self._channel)

    async def open_round(self, request: OpenRoundRequest) -> OpenRoundResponse:
        """UnmaskService.OpenRound.

        Raises:
            UnmaskerError: the call failed.
        """
        return await self._short(self._stub.OpenRound(request, timeout=_SHORT))

    async def open_sum(self, requests: Iterator[OpenSumRequest]) -> AsyncIterator[OpenSumResponse]:
        """UnmaskService.OpenSum.

        Raises:
            UnmaskerError: the call failed.
        """
        try:
            async for response in self._stub.OpenSum(requests, timeout=_LONG):
                yield response
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error

    async def close_round(self, request: CloseRoundRequest) -> None:
        """UnmaskService.CloseRound.

        Raises:
            UnmaskerError: the call failed.
        """
        await self._short(self._stub.CloseRound(request, timeout=_SHORT))

    async def status(self) -> StatusResponse:
        """UnmaskService.Status.

        Raises:
            UnmaskerError: the call failed.
        """
        return await self._short(self._stub.Status(StatusRequest(), timeout=_SHORT))

    async def close(self) -> None:
        """Ends the connections."""
        for channel in (*self._replaced, self._channel):
            await channel.close(None)

    async def _short(self, call: Awaitable[_T]) -> _T:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error

    def _failed(self, error: grpc.aio.AioRpcError) -> UnmaskerError:
        code = error.code().name
        return UnmaskerError(f"the unmasker on {self._address} answers {code}: {error.details() or 'no details'}", code)


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingError(f"{setting} {path} cannot be read: {error.strerror}") from error
