"""Child processes that serve, and what they cost, from /proc (Linux)."""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from coordinator.errors import BenchError

_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 30
"""Seconds that a child has to end."""


class Child:
    """A Python module run as a process of its own, ended when the context is left.

    Args:
        arguments: the module and its arguments.

    Raises:
        BenchError: this system has no /proc.
    """

    def __init__(self, *arguments: str) -> None:
        if not Path("/proc/self/stat").exists():
            raise BenchError("the benchmarks read CPU time and memory from /proc: run them on Linux")
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
        """The next line that the child prints.

        Raises:
            BenchError: it has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"{' '.join(map(str, self._process.args))} has ended; standard error says why")
        return line.strip()

    def cpu(self) -> float:
        """CPU seconds so far, user and system, of all threads."""
        fields = self._proc.joinpath("stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> float:
        """Resident memory in MiB."""
        return int(self._proc.joinpath("statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Server(Child):
    """A child that serves devices.

    Attributes:
        devices: its address for devices.
        admin: its address for operators; a bare server has none.
    """

    @classmethod
    def coordinator(cls, folder: Path) -> Self:
        """`fedau2-coordinator serve` with its state in a folder."""
        addresses = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
        server = cls("coordinator", "serve", "--state", str(folder), *addresses)
        server.admin = server._address("admin")
        return server

    @classmethod
    def bare(cls) -> Self:
        """The bare server that the coordinator is compared with."""
        return cls("coordinator.bench.bare")

    def __init__(self, *arguments: str) -> None:
        super().__init__(*arguments)
        self.devices = self._address("devices")
        self.admin = ""

    def _address(self, what: str) -> str:
        return self.line().removeprefix(f"serving {what} on ")
