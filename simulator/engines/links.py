"""Links to a coordinator: in process, or over gRPC to a process of its own."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import grpc

from client_sdk.errors import TransportError
from client_sdk.protocol.interfaces import AsyncTransport
from client_sdk.transport.grpc_transport import AioGrpcTransport
from client_sdk.transport.inprocess import InProcessTransport
from coordinator.engine.coordinator import Coordinator
from fedau2.v1 import admin_pb2, admin_pb2_grpc, device_pb2
from simulator.errors import FleetError


class InProcessLink:
    """A coordinator in this process; `fleet.Link`. Its clock stands still, so that nothing expires."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self.transport = InProcessTransport(coordinator.devices)

    @classmethod
    async def open(cls, folder: Path, audit: Path | None = None) -> "InProcessLink":
        """Opens the coordinator's state folder; it keeps every contribution in `audit`, if that is given."""
        return cls(await Coordinator.open(folder, clock=lambda: 0.0, audit=audit))

    async def create_task(self, requests: AsyncIterator[admin_pb2.CreateTaskRequest]) -> admin_pb2.Task:
        """AdminService.CreateTask."""
        return await self._coordinator.admin.create_task(requests)

    async def get_task(self, request: admin_pb2.GetTaskRequest) -> admin_pb2.Task:
        """AdminService.GetTask."""
        return await self._coordinator.admin.get_task(request)

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
        self._channel = grpc.aio.insecure_channel(admin)
        self._admin = admin_pb2_grpc.AdminServiceStub(self._channel)
        self._on_close = on_close

    async def create_task(self, requests: AsyncIterator[admin_pb2.CreateTaskRequest]) -> admin_pb2.Task:
        """AdminService.CreateTask."""
        return await _reached(self._admin.CreateTask(requests))

    async def get_task(self, request: admin_pb2.GetTaskRequest) -> admin_pb2.Task:
        """AdminService.GetTask."""
        return await _reached(self._admin.GetTask(request, timeout=10))

    async def close(self) -> None:
        """Closes the channels and ends what was started."""
        await self._connection.close()
        await self._channel.close(None)
        self._on_close()


class _Transfers:
    """An `AsyncTransport` that has some fetches and uploads under way at a time, so that thousands fit into memory."""

    _AT_ONCE = 64

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._fetches = asyncio.Semaphore(self._AT_ONCE)
        self._uploads = asyncio.Semaphore(self._AT_ONCE)

    async def check_in(self, request: device_pb2.CheckInRequest) -> device_pb2.CheckInResponse:
        return await self._transport.check_in(request)

    async def fetch(self, request: device_pb2.FetchResourceRequest) -> AsyncGenerator[bytes, None]:
        async with self._fetches, aclosing(self._transport.fetch(request)) as parts:
            async for data in parts:
                yield data

    async def upload(self, header: device_pb2.UploadHeader, data: bytes) -> device_pb2.UploadContributionResponse:
        async with self._uploads:
            return await self._transport.upload(header, data)

    async def report_failure(self, request: device_pb2.ReportFailureRequest) -> device_pb2.ReportFailureResponse:
        return await self._transport.report_failure(request)


async def _reached(call: Awaitable[admin_pb2.Task]) -> admin_pb2.Task:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            raise TransportError(f"the coordinator does not answer: {error.details()}") from error
        raise FleetError(f"the coordinator refused: {error.details()}") from error


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
