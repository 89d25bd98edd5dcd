"""Runs a real coordinator with a small task, for the tests of an app that embeds the SDK.

```python
from client_sdk import FedClient, testing

with testing.LocalCoordinator(items=["song-1", "song-2", "song-3"], attribute="gender") as server:
    with FedClient.open(folder, server.address, server.population) as client:
        client.record("song-2")
        server.train(client)
        assert server.rounds_committed() == 1
        assert client.recommend(k=2)
```

It runs `fedau2-export` and `fedau2-coordinator` as child processes on free loopback ports, so that any number of tests
may run at once. These need more packages than a device: `pip install 'fedau2[export,coordinator]'`, or only
`fedau2[coordinator]` where a bundle is given. The start takes some seconds, mainly to build a bundle with PyTorch, so
many tests should share one coordinator or one bundle.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Self

from client_sdk import arguments
from client_sdk.errors import LocalCoordinatorError, UsageError
from client_sdk.protocol.wishes import Result
from fedau2.wire import addresses

if TYPE_CHECKING:
    from client_sdk.client import FedClient
    from fedau2.v1.admin_pb2 import Task

_SERVING = {"sqlalchemy": "coordinator", "grpc_health": "coordinator"}
_BUILDING = {"torch": "export", "onnxscript": "export", "yaml": "export"}
"""Modules that serving, and building a bundle, need, with the extras that bring them."""
_START = "call start(), or enter a block by `with`"
_PATIENCE = 60.0
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
        UsageError: neither items nor a bundle are given, or both; or a number is not a whole number from 1 up.

    Attributes:
        population: argument of `FedClient.open`.
    """

    population = "testing"

    def __init__(
        self,
        items: Sequence[str] = (),
        *,
        attribute: str | None = None,
        classes: Sequence[str] = ("F", "M"),
        bundle: Path | None = None,
        goal: int = 1,
        rounds: int = 1000,
    ) -> None:
        if (bundle is None) != bool(items):
            raise UsageError("give either items or a bundle")
        self._items, self._attribute, self._classes = items, attribute, classes
        self._bundle = bundle
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
        needed = _SERVING if self._bundle else _SERVING | _BUILDING
        if missing := {extra for module, extra in needed.items() if find_spec(module) is None}:
            raise LocalCoordinatorError(
                f"a local coordinator needs more than a device: pip install 'fedau2[{','.join(sorted(missing))}]'"
            )
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="fedau2-testing-")))
            bundle = self._bundle or self._build(folder)
            address, admin = stack.enter_context(_serve(folder))
            self._served = _Served(address, admin, bundle, self._create_task(bundle, admin))
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

    def wait_for_round(self, number: int, timeout: float = _PATIENCE) -> None:
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
        import grpc

        from fedau2.v1.admin_pb2 import GetTaskRequest
        from fedau2.v1.admin_pb2_grpc import AdminServiceStub

        with grpc.insecure_channel(*addresses.channel(self._served.admin)) as channel:
            try:
                return AdminServiceStub(channel).GetTask(
                    GetTaskRequest(task_id=self._served.task_id), timeout=_PATIENCE
                )
            except grpc.RpcError as error:
                raise LocalCoordinatorError(f"the coordinator does not answer any more: {error.details()}") from error

    def _build(self, folder: Path) -> Path:
        adversaries = [{"attribute": self._attribute, "classes": list(self._classes)}] if self._attribute else []
        plan, items, bundle = folder / "plan.yaml", folder / "items.txt", folder / "bundle"
        # JSON is YAML; the model is small, so that tests are fast.
        plan.write_text(json.dumps({"model": {"gmf": 8, "mlp": 16, "hidden": [16, 8]}, "adversaries": adversaries}))
        items.write_text("".join(f"{item}\n" for item in self._items), "utf-8")
        _run("export", "bundle", "--model=fedncf", f"--items={items}", f"--plan={plan}", "--seed=1", f"--out={bundle}")
        return bundle

    def _create_task(self, bundle: Path, admin: str) -> str:
        task = [f"--bundle={bundle}", f"--population={self.population}"]
        closing = [f"--rounds={self._rounds}", f"--goal={self._goal}"]
        return _run("coordinator", "create-task", *task, *closing, f"--admin={admin}").strip()


def _command(module: str, *arguments: str) -> list[str]:
    # -P keeps a folder of the app with the same name from being imported instead.
    return [sys.executable, "-P", "-m", module, *arguments]


def _run(module: str, *arguments: str) -> str:
    done = subprocess.run(_command(module, *arguments), capture_output=True, text=True)
    if done.returncode:
        raise LocalCoordinatorError(f"{module} {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def _serve(folder: Path) -> Iterator[tuple[str, str]]:
    """Serves in a child process and yields the addresses for devices and for operators."""
    log = folder / "coordinator.log"
    command = _command("coordinator", "serve", f"--state={folder}/state", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0")
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            matches = [re.search(r"serving \w+ on (\S+)", process.stdout.readline()) for _ in range(2)]
            devices, admin = (match[1] if match else "" for match in matches)
            if not admin:
                raise LocalCoordinatorError(f"the coordinator did not start: {log.read_text().strip()}")
            yield devices, admin
        finally:
            process.terminate()
