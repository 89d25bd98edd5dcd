"""A coordinator whose tasks have the same ids in every process, so that fleets can be compared."""

import re
import subprocess
import sys
import time
from contextlib import contextmanager

import grpc

from fedau2.v1.admin_pb2 import GetTaskRequest
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from fedau2.wire import addresses
from tests.typescript.fleets import SAME_NAMES

_PATIENCE = 120


class Coordinator:
    """A coordinator with one task at a time."""

    population = "fleet"

    def __init__(self, address, admin):
        self.address, self._admin, self._task_id = address, admin, ""

    def create(self, bundle, goal, *flags):
        """Creates a task whose rounds close with so many contributions."""
        closing = (f"--population={self.population}", f"--goal={goal}", f"--maximum={goal}", "--rounds=9")
        self._task_id = self._command("create-task", f"--bundle={bundle}", *closing, *flags)

    def replace(self, bundle):
        """Puts a successor in the task's place."""
        self._task_id = self._command("replace", self._task_id, f"--bundle={bundle}")

    def task(self):
        """Returns the task's state."""
        with grpc.insecure_channel(*addresses.channel(self._admin)) as channel:
            return AdminServiceStub(channel).GetTask(GetTaskRequest(task_id=self._task_id), timeout=_PATIENCE)

    def wait_for_round(self, number):
        """Returns when so many rounds of the task are committed."""
        end = time.monotonic() + _PATIENCE
        while (round_number := self.task().round) < number:
            assert time.monotonic() < end, f"{round_number} rounds are committed and not {number}"
            time.sleep(0.02)

    def _command(self, *arguments):
        command = [sys.executable, "-P", "-m", "coordinator", *map(str, arguments), f"--admin={self._admin}"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextmanager
def coordinator(folder):
    """Serves in a child process, with its state in a folder."""
    listening = ["--listen=127.0.0.1:0", "--admin=127.0.0.1:0"]
    command = [sys.executable, "-P", "-c", SAME_NAMES, "serve", f"--state={folder}", *listening]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            lines = [process.stdout.readline() for _ in listening]
            yield Coordinator(*(re.search(r"serving \w+ on (\S+)", line)[1] for line in lines))
        finally:
            process.terminate()
