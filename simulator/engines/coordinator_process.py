"""Runs a coordinator as a child process."""

from pathlib import Path

from simulator.engines.connections import GrpcConnection
from simulator.engines.server_process import ServerProcess
from simulator.engines.unmasker_process import UnmaskerProcess


class CoordinatorProcess(ServerProcess):
    """`fedau2-coordinator serve` as a child process on loopback.

    Args:
        folder: its state folder.
        devices: address to serve DeviceService on.
        admin: address to serve AdminService on.
        audit: folder in which it records every contribution; None: it records none.
        unmasker: opens its secure sums; None: it takes no task with secure sums.

    Attributes:
        devices: the address of DeviceService.
        admin: the address of AdminService.
    """

    def __init__(
        self,
        folder: Path,
        devices: str = "127.0.0.1:0",
        admin: str = "127.0.0.1:0",
        audit: Path | None = None,
        unmasker: UnmaskerProcess | None = None,
    ) -> None:
        command = ["-m", "coordinator", "serve", "--state", str(folder), "--log-level", "WARNING"]
        command += ["--listen", devices, "--admin", admin, *(["--audit", str(audit.resolve())] if audit else [])]
        if unmasker is not None:
            command += ["--unmasker", unmasker.coordinators, "--unmasker-key", str(unmasker.key_file)]
        super().__init__(command, ("devices", "admin"))
        self.devices, self.admin = self.addresses["devices"], self.addresses["admin"]

    async def connect(self) -> GrpcConnection:
        """Opens a connection that stops the child process when it is closed."""
        return GrpcConnection(self.devices, self.admin, self.stop)
