"""Runs a coordinator as a child process."""

import os
import re
import subprocess
import sys
from pathlib import Path

from fedau2 import programs
from simulator.engines.connections import GrpcConnection
from simulator.errors import FleetError


class CoordinatorProcess:
    """`fedau2-coordinator serve` as a child process on loopback.

    Attributes:
        process: the child process.
        devices: the address of DeviceService.
        admin: the address of AdminService.
    """

    def __init__(
        self, folder: Path, devices: str = "127.0.0.1:0", admin: str = "127.0.0.1:0", audit: Path | None = None
    ) -> None:
        command = [sys.executable, "-m", "coordinator", "serve", "--state", str(folder), "--log-level", "WARNING"]
        command += ["--listen", devices, "--admin", admin, *(["--audit", str(audit.resolve())] if audit else [])]
        with programs.deaf_children():
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.devices = self._address("devices")
        self.admin = self._address("admin")

    def _address(self, service: str) -> str:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if match := re.search(rf"serving {service} on (.+)", line):
            return match[1]
        self.stop()
        raise FleetError(f"the coordinator did not start: {line.strip() or 'its messages above say why'}")

    async def connect(self) -> GrpcConnection:
        """Opens a connection that stops the child process when it is closed."""
        return GrpcConnection(self.devices, self.admin, self.stop)

    def cpu_seconds(self) -> float:
        """Returns the child's user and system CPU time so far (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory(self) -> float:
        """Returns the child's largest resident memory so far, in MB (Linux)."""
        return peak_memory(self.process.pid)

    def stop(self) -> None:
        """Terminates the child and waits for its end."""
        self.process.terminate()
        self.process.wait(timeout=30)
        if self.process.stdout is not None:
            self.process.stdout.close()


def peak_memory(process: int) -> float:
    """Returns the largest resident memory of a process so far, in MB (Linux)."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1000
