"""A coordinator that pages on this machine can reach."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc

from fedau2.v1.admin_pb2 import GetTaskRequest, Task
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from fedau2.wire import addresses

POPULATION = "browsers"
PATIENCE = 60.0
_PAUSE = 0.02


@dataclass(frozen=True)
class WebCoordinator:
    """A coordinator with one task.

    Attributes:
        devices: address for devices over gRPC.
        web: address for devices in browsers, with its scheme.
    """

    devices: str
    web: str
    _admin: str
    _task_id: str

    def task(self) -> Task:
        """Returns the task as it is now."""
        with grpc.insecure_channel(*addresses.channel(self._admin)) as channel:
            return AdminServiceStub(channel).GetTask(GetTaskRequest(task_id=self._task_id), timeout=PATIENCE)

    def wait_for_round(self, number: int) -> None:
        """Returns when `number` rounds are committed.

        Raises:
            TimeoutError: they are not committed after `PATIENCE` seconds.
        """
        end = time.monotonic() + PATIENCE
        while self.task().round < number:
            if time.monotonic() > end:
                raise TimeoutError(f"round {number} is not committed")
            time.sleep(_PAUSE)


@contextmanager
def web_coordinator(bundle: Path, origin: str, goal: int = 1, web: str = "127.0.0.1:0") -> Iterator[WebCoordinator]:
    """Runs a coordinator as a child process, with its state in a folder that is removed afterwards.

    Args:
        bundle: folder of the task's bundle.
        origin: origin of the pages that may use it.
        goal: contributions at which a round closes.
        web: address for browsers.

    Raises:
        RuntimeError: it did not start; the text has its errors.
    """
    with TemporaryDirectory(prefix="fedau2-browser-") as folder:
        serve = ("serve", f"--state={folder}/state", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0")
        log = Path(folder) / "log"
        with (
            log.open("w") as errors,
            subprocess.Popen(
                _command(*serve, f"--web={web}", f"--web-origin={origin}"),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            try:
                assert process.stdout is not None
                served = dict(_served(process.stdout.readline()) for _ in range(3))
                if "web" not in served:
                    raise RuntimeError(f"the coordinator did not start: {log.read_text().strip()}")
                web = f"http://{served['web']}"
                yield WebCoordinator(served["devices"], web, served["admin"], _create(bundle, served["admin"], goal))
            finally:
                process.terminate()


def _served(line: str) -> tuple[str, str]:
    match = re.search(r"serving (\w+) on (\S+)", line)
    return (match[1], match[2]) if match else ("", "")


def _create(bundle: Path, admin: str, goal: int) -> str:
    task = (f"--bundle={bundle}", f"--population={POPULATION}", f"--admin={admin}")
    closing = ("--rounds=1000", f"--goal={goal}", "--over-selection=1")
    command = _command("create-task", *task, *closing)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "coordinator", *arguments]
