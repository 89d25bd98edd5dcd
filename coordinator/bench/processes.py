"""Child processes that serve, and their cost, read from /proc (Linux)."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from coordinator.bench.workload import Model
from coordinator.errors import BenchError
from fedau2 import programs
from fedau2.v1.admin_pb2 import GetTaskRequest
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from fedau2.wire import addresses

DISK = "/var/tmp"
"""Folder in which state folders are made. Files in it outlast a restart, so it is on a real disk."""

_PATIENCE = 30
"""Most seconds that a child has to end."""


class Child:
    """A Python module that runs as a child process. The child is ended when the context is left.

    Args:
        arguments: the module and its arguments.

    Raises:
        BenchError: this system has no /proc.
    """

    def __init__(self, *arguments: str) -> None:
        if not Path("/proc/self/stat").exists():
            raise BenchError("the benchmarks read CPU time and memory from /proc: run them on Linux")
        self._name = arguments[0]
        with programs.deaf_children():
            self._process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True)
        self._proc = Path("/proc", str(self._process.pid))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate(timeout=_PATIENCE)

    def line(self) -> str:
        """Reads the next line that the child prints.

        Raises:
            BenchError: the child has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"{self._name} has ended; standard error says why")
        return line.strip()

    def cpu(self) -> float:
        """Returns the CPU seconds so far, user and system, of all threads."""
        fields = self._proc.joinpath("stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Returns the resident memory in MiB."""
        return int(self._proc.joinpath("statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def files(self) -> int:
        """Returns the number of open files, connections among them."""
        return len(os.listdir(self._proc / "fd"))  # noqa: PTH208 - a path for each takes long


class Server(Child):
    """A child that serves devices.

    Attributes:
        devices: the server's address for devices.
    """

    def __init__(self, *arguments: str) -> None:
        super().__init__(*arguments)
        self.devices = self._address("devices")

    def _address(self, service: str) -> str:
        return self.line().removeprefix(f"serving {service} on ")


class CoordinatorServer(Server):
    """`fedau2-coordinator serve`, with a state folder that is removed afterwards.

    Args:
        settings: more flags of the command.
        folder: a state folder that several share; None: one of its own.
    """

    def __init__(self, *settings: str, folder: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fedau2-bench-", dir=DISK)
        loopback = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
        state = str(folder or self._folder.name)
        super().__init__("coordinator", "serve", "--state", state, *loopback, *settings)
        self._admin = grpc.insecure_channel(*addresses.channel(self._address("admin")))
        self._stub = AdminServiceStub(self._admin)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admin.close()
        super().__exit__(kind, error, trace)
        self._folder.cleanup()

    def create_task(self, model: Model) -> str:
        """Creates a task and returns its id."""
        return self._stub.CreateTask(model.task()).task_id

    def expect(self, task_id: str, contributions: int) -> None:
        """Returns if the open round of a task has counted this number of contributions.

        Raises:
            BenchError: it has counted another number.
        """
        reported = self._stub.GetTask(GetTaskRequest(task_id=task_id)).reported
        if reported != contributions:
            raise BenchError(f"{contributions} contributions were acknowledged, but {reported} were counted")
