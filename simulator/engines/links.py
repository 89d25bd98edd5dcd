"""Links to a coordinator: in process, or over gRPC to a process of its own."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

from google.protobuf.message import Message

from client_sdk.protocol.interfaces import AsyncTransport
from client_sdk.transport.grpc_transport import AioGrpcTransport
from client_sdk.transport.inprocess import InProcessTransport
from coordinator.engine.coordinator import Coordinator
from fedau2.v1 import admin_pb2
from fedau2.wire.methods import Service
from simulator.errors import FleetError

ADMIN = Service(admin_pb2.DESCRIPTOR.services_by_name["AdminService"])
"""What operators call."""

_PATIENCE = 3600.0
"""Seconds that creating a task may take."""


class InProcessLink:
    """A coordinator in this process; `fleet.Link`. Its clock stands still, so that nothing expires."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self.transport = InProcessTransport(coordinator.devices)
        self.admin = InProcessTransport(coordinator.admin, ADMIN)

    @classmethod
    async def open(cls, folder: Path, audit: Path | None = None) -> "InProcessLink":
        """Opens the coordinator's state folder; it keeps every contribution in `audit`, if that is given."""
        return cls(await Coordinator.open(folder, clock=lambda: 0.0, audit=audit))

    async def close(self) -> None:
        """Closes the coordinator."""
        await self._coordinator.close()


class GrpcLink:
    """A coordinator at two addresses; `fleet.Link`.

    Args:
        devices: address of DeviceService.
        admin: address of AdminService.
        on_close: ends what was started for the link.
    """

    def __init__(self, devices: str, admin: str, on_close: Callable[[], None] = lambda: None) -> None:
        self._connection = AioGrpcTransport(devices)
        self.transport = _Transfers(self._connection)
        self.admin = AioGrpcTransport(admin, timeout=10, transfer_timeout=_PATIENCE, service=ADMIN)
        self._on_close = on_close

    async def close(self) -> None:
        """Closes the channels and ends what was started."""
        await self._connection.close()
        await self.admin.close()
        self._on_close()


class _Transfers:
    """An `AsyncTransport` with few streams open at a time, so that thousands of devices fit into memory."""

    _AT_ONCE = 64

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._incoming = asyncio.Semaphore(self._AT_ONCE)
        self._outgoing = asyncio.Semaphore(self._AT_ONCE)

    async def call(self, request: Message) -> Message:
        return await self._transport.call(request)

    async def receive(self, request: Message) -> AsyncGenerator[Message, None]:
        async with self._incoming, aclosing(self._transport.receive(request)) as responses:
            async for response in responses:
                yield response

    async def send(self, kind: type[Message], requests: Iterator[Message]) -> Message:
        async with self._outgoing:
            return await self._transport.send(kind, requests)


class CoordinatorProcess:
    """`fedau2-coordinator serve` as a child process on loopback.

    Attributes:
        process: the child.
        devices: address of DeviceService.
        admin: address of AdminService.
    """

    def __init__(
        self, folder: Path, devices: str = "127.0.0.1:0", admin: str = "127.0.0.1:0", audit: Path | None = None
    ) -> None:
        command = [sys.executable, "-m", "coordinator", "serve", "--state", str(folder), "--log-level", "WARNING"]
        command += ["--listen", devices, "--admin", admin, *(["--audit", str(audit.resolve())] if audit else [])]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.devices = self._address("devices")
        self.admin = self._address("admin")

    def _address(self, what: str) -> str:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if match := re.search(rf"serving {what} on (\S+)", line):
            return match[1]
        self.stop()
        raise FleetError(f"the coordinator did not start: {line.strip() or 'see its messages above'}")

    async def link(self) -> GrpcLink:
        """A link that stops the child when it is closed."""
        return GrpcLink(self.devices, self.admin, self.stop)

    def cpu_seconds(self) -> float:
        """User and system CPU time of the child so far (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory(self) -> float:
        """Most resident memory of the child so far, in MB (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1000

    def stop(self) -> None:
        """Asks the child to end and waits."""
        self.process.terminate()
        self.process.wait(timeout=30)
        if self.process.stdout is not None:
            self.process.stdout.close()
