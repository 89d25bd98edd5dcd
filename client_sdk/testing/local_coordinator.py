"""A coordinator with one task, for tests."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Self

from client_sdk import arguments
from client_sdk.errors import LocalCoordinatorError, UsageError
from client_sdk.protocol.wishes import Result
from client_sdk.testing import serving
from client_sdk.testing.small_task import SmallTask

if TYPE_CHECKING:
    from client_sdk.client import FedClient
    from fedau2.v1.admin_pb2 import Task

_NEEDED = ("sqlalchemy", "grpc_health", "grpc_reflection", "prometheus_client")
"""Modules that the coordinator needs and a device does not."""
_START = "call start(), or enter a block by `with`"
_PAUSE = 0.02


@dataclass(frozen=True)
class _Served:
    """The addresses, the bundle and the task of a coordinator that was started."""

    address: str
    admin: str
    bundle: Path
    task_id: str


class LocalCoordinator:
    """A coordinator with one task; a context manager, with `with` and with `async with`.

    Its methods block. In a coroutine call them as `await asyncio.to_thread(server.wait_for_round, 2)`. Before it is
    started, and after it is stopped, they raise `LocalCoordinatorError`.

    >>> from client_sdk import FedClient
    >>> with TemporaryDirectory() as folder, LocalCoordinator(items=["song-1", "song-2", "song-3"]) as server:
    ...     with FedClient.open(folder, server.address, server.population) as client:
    ...         client.record("song-2")
    ...         server.train(client)
    ...         server.rounds_committed(), len(client.recommend(k=2))
    (1, 2)

    Args:
        items: the catalogue of a small task that is made for the test.
        attribute: the attribute that this task unlearns; None: no attribute.
        classes: the attribute's values.
        bundle: folder of a bundle to serve instead, for example the one that comes with the app.
        goal: contributions at which a round closes.
        rounds: rounds after which the task is finished.

    Raises:
        UsageError: neither items nor a bundle are given, or both. Or the items cannot be a catalogue, the attribute or
            its classes cannot be used, or a number is not a whole number from 1 up.

    Attributes:
        population: argument of `FedClient.open`; with a signed bundle, from the first start on, the one that it is for.
    """

    population = "testing"

    def __init__(
        self,
        items: Sequence[str] | None = None,
        *,
        attribute: str | None = None,
        classes: Sequence[str] = ("F", "M"),
        bundle: Path | None = None,
        goal: int = 1,
        rounds: int = 1000,
    ) -> None:
        if (bundle is None) == (items is None):
            raise UsageError("give either items or a bundle")
        self._bundle = None if bundle is None else arguments.folder("bundle", bundle)
        self._made = None if items is None else SmallTask.make(items, attribute, classes)
        self._goal, self._rounds = arguments.number("goal", goal), arguments.number("rounds", rounds)
        self._opened: ExitStack | None = None
        self._served: _Served | None = None

    @property
    def address(self) -> str:
        """Argument of `FedClient.open`; known from the first start on."""
        return self._known("address").address

    @property
    def admin(self) -> str:
        """The address for operators; known from the first start on."""
        return self._known("admin").admin

    @property
    def bundle(self) -> Path:
        """Folder of the bundle that is served; known from the first start on."""
        return self._known("bundle").bundle

    def _known(self, name: str) -> "_Served":
        if self._served is None:
            raise LocalCoordinatorError(f"there is no {name} yet: {_START}")
        return self._served

    def start(self) -> Self:
        """Starts the coordinator and creates its task, as entering the `with` block does.

        Raises:
            LocalCoordinatorError: it runs already, or cannot be started, for example because an extra is missing.
        """
        if self._opened is not None:
            raise LocalCoordinatorError("the local coordinator runs already: stop() it first, or use another")
        if any(find_spec(module) is None for module in _NEEDED):
            raise LocalCoordinatorError(
                "a local coordinator needs more than a device: pip install 'fedau2[coordinator]'"
            )
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="fedau2-testing-")))
            server = stack.enter_context(serving.serve(folder))
            bundle = self._made.write(folder / "bundle") if self._made else self._bundle
            assert bundle is not None  # checked
            self.population = serving.signed_for(bundle) or self.population
            address, admin = server.addresses()
            task_id = serving.create_task(admin, bundle, self.population, self._rounds, self._goal)
            self._served = _Served(address, admin, bundle, task_id)
            self._opened = stack.pop_all()
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def stop(self) -> None:
        """Ends the coordinator and removes its files, as leaving the `with` block does.

        May be called again, and before any start.
        """
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def rounds_committed(self) -> int:
        """Returns the number of rounds whose checkpoint is durable."""
        return self._task().round

    def wait_for_round(self, number: int, timeout: float = serving.PATIENCE) -> None:
        """Returns when `number` rounds are committed.

        Raises:
            LocalCoordinatorError: they are not committed after `timeout` seconds.
        """
        end = time.monotonic() + timeout
        while (task := self._task()).round < number:
            if time.monotonic() > end:
                raise LocalCoordinatorError(
                    f"{task.round} rounds are committed and not {number}; the open round has {task.reported} of "
                    f"{self._goal} contributions: let more clients sync, or set a smaller goal"
                )
            time.sleep(_PAUSE)

    def train(self, *clients: "FedClient", rounds: int = 1) -> None:
        """Lets each client contribute to each of the next rounds. The number of clients should be the goal.

        Raises:
            LocalCoordinatorError: a client's sync did not end with an upload, or a round was not committed.
            FedError: as `FedClient.sync` does.
        """
        for _ in range(rounds):
            number = self.rounds_committed() + 1
            for client in clients:
                outcome = client.sync()
                if outcome.result is not Result.UPLOADED:
                    raise LocalCoordinatorError(f"a client did not contribute: {outcome.result.value} {outcome.reason}")
            self.wait_for_round(number)

    def _task(self) -> "Task":
        if self._opened is None or self._served is None:
            raise LocalCoordinatorError(f"the local coordinator does not run: {_START}")
        from fedau2.v1.admin_pb2 import GetTaskRequest

        with serving.operator(self._served.admin) as stub:
            return stub.GetTask(GetTaskRequest(task_id=self._served.task_id), timeout=serving.PATIENCE)
