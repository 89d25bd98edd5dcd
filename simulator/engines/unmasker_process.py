"""Runs an unmasker as a child process, for simulations. A real one belongs to another party."""

import subprocess
import sys
from pathlib import Path

from client_sdk.protocol.trust import unmasker_key
from simulator.engines.server_process import ServerProcess
from simulator.errors import FleetError


class UnmaskerProcess(ServerProcess):
    """`fedau2-unmasker serve` as a child process on loopback, which enrols everybody.

    Args:
        folder: its state folder, which is made.

    Raises:
        FleetError: it did not start.

    Attributes:
        devices: the address for devices.
        coordinators: the address for coordinators.
        key_file: its public key (PEM).
    """

    def __init__(self, folder: Path) -> None:
        made = subprocess.run(
            [sys.executable, "-m", "unmasker", "init", "--state", str(folder)], capture_output=True, text=True
        )
        if made.returncode:
            raise FleetError(f"the unmasker's keys could not be made: {made.stderr.strip()}")
        serve = ["-m", "unmasker", "serve", "--state", str(folder), "--accept", "open"]
        super().__init__(
            [*serve, "--listen", "127.0.0.1:0", "--coordinator", "127.0.0.1:0"], ("devices", "coordinators")
        )
        self.devices, self.coordinators = self.addresses["devices"], self.addresses["coordinators"]
        self.key_file = folder / "identity.pub"

    @property
    def identity(self) -> bytes:
        """Its public key, 32 bytes."""
        return unmasker_key(self.key_file.read_bytes())
