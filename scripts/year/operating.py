"""Operates a coordinator in this process by the commands that an operator gives."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import export
from client_sdk.transport.inprocess import InProcessTransport
from coordinator import cli
from coordinator.engine.coordinator import Coordinator
from coordinator.grpc.server import Servers
from export.bundle import Bundle
from fedau2.v1 import admin_pb2
from scripts.year.devices import POPULATION

_LOCAL = "127.0.0.1:0"
_LONG = str(10**9)
"""Seconds of deadlines and leases: a round ends with its goal alone, so that runs can be compared."""


class Operator:
    """An operator with one task.

    Args:
        folder: of the bundles.
        coordinator: runs the task.
        admin: its address for operators.
        goal: contributions of a round.
        rounds: of the whole service.

    Attributes:
        transport: the devices' way to the coordinator.
    """

    def __init__(self, folder: Path, coordinator: Coordinator, admin: str, goal: int, rounds: int) -> None:
        self._folder, self._coordinator, self._admin = folder, coordinator, admin
        self._goal, self._rounds, self._written = goal, rounds, 0
        self._bundle, self._task = folder, ""
        self.transport = InProcessTransport(coordinator.devices)

    @classmethod
    @asynccontextmanager
    async def of(cls, folder: Path, goal: int, rounds: int) -> "AsyncIterator[Operator]":
        """Runs a coordinator as long as the block lasts."""
        async with await Coordinator.open(folder / "coordinator") as coordinator:
            servers = await Servers.start(_LOCAL, _LOCAL)
            try:
                await servers.serve(coordinator)
                yield cls(folder, coordinator, servers.admin, goal, rounds)
            finally:
                await servers.stop()

    async def create(self, bundle: Bundle) -> None:
        """Creates the task."""
        self._write(bundle)
        await self._create()

    async def replace(self, items: Sequence[str]) -> None:
        """Gives the running task another catalogue. Returns when the successor has started."""
        self._succeed(items)
        self._task = await self._command("replace", self._task, "--bundle", str(self._bundle))

    async def recreate(self, items: Sequence[str]) -> None:
        """Stops the task, exports its model, and creates a successor of it."""
        await self._command("stop", "--yes", self._task)
        self._bundle = self._next()
        await self._command("export", self._task, "--out", str(self._bundle))
        self._succeed(items)
        await self._create()

    async def rounds(self) -> int:
        """Returns the number of rounds that the task and its ancestors have been trained."""
        task = await self._coordinator.admin.get_task(admin_pb2.GetTaskRequest(task_id=self._task))
        return task.first_round + task.round

    async def _create(self) -> None:
        arguments = ["--bundle", str(self._bundle), "--population", POPULATION, "--rounds", str(self._rounds)]
        arguments += ["--goal", str(self._goal), "--deadline", _LONG, "--lease", _LONG]
        self._task = await self._command("create-task", *arguments)

    def _succeed(self, items: Sequence[str]) -> None:
        bundle, _ = export.succeed(self._bundle, items, self._written)
        self._write(bundle)

    def _write(self, bundle: Bundle) -> None:
        self._bundle = self._next()
        export.write(bundle, self._bundle)

    def _next(self) -> Path:
        self._written += 1
        return self._folder / f"bundle-{self._written}"

    async def _command(self, name: str, *arguments: str) -> str:
        """Gives a command in a thread, so that devices may sync meanwhile. Returns what it prints."""
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = await asyncio.to_thread(cli.main, [name, *arguments, "--admin", self._admin])
        if status:
            raise RuntimeError(f"{name} failed: {err.getvalue().strip()}")
        return out.getvalue().strip()
