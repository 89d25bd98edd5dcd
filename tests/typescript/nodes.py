"""Devices of the TypeScript SDK, in a process of Node, for tests."""

import json
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "typescript"
DEVICES = PACKAGE / "build" / "test" / "devices.js"


def reason_to_skip():
    """Returns why the TypeScript SDK cannot be run here; None if it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (PACKAGE / "node_modules").is_dir():
        return "typescript/node_modules is missing: run `make test-typescript` once"
    return None


needs_node = pytest.mark.skipif(reason_to_skip() is not None, reason=reason_to_skip() or "")


def build():
    """Compiles the package, and does nothing if it is compiled already."""
    compiler = PACKAGE / "node_modules" / ".bin" / "tsc"
    subprocess.run([compiler, "--project", PACKAGE, "--incremental"], check=True, capture_output=True)


class Devices:
    """Devices of one process of Node; they are numbered in the order in which they were opened."""

    def __init__(self, process):
        self._process = process

    def open(self, state_dir, server, key, records, attributes):
        self._ask(
            open={
                "stateDir": str(state_dir),
                "coordinator": server.address,
                "population": server.population,
                "key": key.hex(),
                "records": records,
                "attributes": attributes,
            }
        )

    def sync(self, number):
        return self._ask(sync=number)

    def recommend(self, number, k):
        return self._ask(recommend=number, k=k)

    def _ask(self, **request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["value"]


@contextmanager
def devices():
    """Yields the devices of a new process."""
    build()
    command = ["node", str(DEVICES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Devices(process)
        finally:
            process.stdin.close()
