"""Runs a server of this project as a child process."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fedau2 import programs
from simulator.errors import FleetError


class ServerProcess:
    """A command that serves on loopback, as a child process.

    Args:
        command: arguments of the Python interpreter.
        services: the services whose addresses it prints, in that order.

    Raises:
        FleetError: it did not start.

    Attributes:
        process: the child process.
        addresses: by service.
    """

    def __init__(self, command: Sequence[str], services: Sequence[str]) -> None:
        self._name = command[1]
        with programs.deaf_children():
            self.process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
        self.addresses = {service: self._address(service) for service in services}

    def _address(self, service: str) -> str:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if match := re.search(rf"serving {service} on (.+)", line):
            return match[1]
        self.stop()
        raise FleetError(f"the {self._name} did not start: {line.strip() or 'its messages above say why'}")

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
