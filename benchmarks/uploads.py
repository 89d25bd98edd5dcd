"""The cost of an upload to the server: this project's coordinator, and Flower's SuperLink with its ServerApp.

Every client gets the tensors of FedNCF from the server and sends them back changed, over loopback without TLS. The
coordinator has each contribution on disk before it is acknowledged. The SuperLink keeps it in memory.
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.peers import ROOT, Environment
from benchmarks.processes import Tree
from benchmarks.work import ITEMS, Work
from simulator.bench.workloads import fleet

NODES, ROUNDS = 2, 3
"""Clients at once, and rounds that are measured after a first one."""

_APP = ROOT / "benchmarks" / "superlink"
_CONNECTION = '[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{}"\ninsecure = true\n'
_LIMIT = 420.0
"""Seconds of a wait."""


@dataclass(frozen=True)
class Uploads:
    """The cost of uploads to a server.

    Attributes:
        server: its name.
        uploads: number of measured uploads.
        cpu_ms: processor milliseconds of the server's processes for each.
    """

    server: str
    uploads: int
    cpu_ms: float


def coordinator(work: Work) -> Uploads:
    """Measures this project's coordinator: check-in, download, upload, and its share of the server's step.

    Args:
        work: the users, who are the clients.
    """
    labels = np.arange(NODES) % 2
    cost = fleet(work.items()[:NODES], labels, ITEMS, NODES, ROUNDS)
    return Uploads("FedAU2 coordinator", NODES * ROUNDS, cost.coordinator_ms)


def superlink(environment: Environment, folder: Path) -> Uploads:
    """Measures Flower's SuperLink with its ServerApp. Its SuperNodes and their ClientApps are not counted.

    Args:
        environment: the Python that has Flower.
        folder: an empty folder for its settings.

    Raises:
        BenchmarkError: it does not start, or no round ends after the first one.
    """
    programs, marks = environment.python.parent, folder / "marks"
    address = f"127.0.0.1:{_free_port()}"
    (folder / "config.toml").write_text(_CONNECTION.format(address))
    host, port = address.split(":")
    variables = environment.variables() | {"FLWR_HOME": str(folder), "PATH": f"{programs}:{os.environ['PATH']}"}
    server, nodes = Tree(), Tree()
    start = [str(programs / "flower-superlink"), "--insecure", "--host", host, "--port", port]
    node = [str(programs / "flower-supernode"), "--insecure", "--superlink", address, "--port"]
    config = f"rounds={ROUNDS + 1} nodes={NODES} marks='{marks}'"
    with ExitStack() as stack:
        stack.enter_context(_child([*start, "--disable-runtime-dependency-installation"], variables, server))
        for _ in range(NODES):
            stack.enter_context(_child([*node, str(_free_port())], variables, nodes))
        _wait_for(lambda: _answers(host, int(port)), "the SuperLink does not answer")
        _submit([str(programs / "flwr"), "run", str(_APP), "here", "-c", config], variables)
        cpu = _cpu_by_round(server, marks)
        uploads = sum(_clients(marks)[1 : len(cpu)])
        if not uploads:
            raise BenchmarkError(f"the SuperLink got no uploads within {_LIMIT:.0f} s after its first round")
        return Uploads("Flower SuperLink with ServerApp", uploads, (cpu[-1] - cpu[0]) / uploads * 1e3)


def _submit(command: list[str], variables: dict[str, str]) -> None:
    try:
        subprocess.run(command, env=variables, check=True, capture_output=True, text=True, timeout=_LIMIT)
    except subprocess.CalledProcessError as error:
        raise BenchmarkError(f"{command[0]} failed: {error.stderr[-600:]}") from error
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{command[0]} took more than {_LIMIT:.0f} s") from error


def _cpu_by_round(server: Tree, marks: Path) -> list[float]:
    """Returns the server's processor seconds at the end of each round that ends in time."""
    seen: list[float] = []

    def ended() -> bool:
        seen.extend([server.cpu()] * (len(_clients(marks)) - len(seen)))
        return len(seen) > ROUNDS

    with suppress(BenchmarkError):  # on a busy machine Flower's clients may lose their tasks
        _wait_for(ended, "the rounds do not end")
    return seen


@contextmanager
def _child(command: list[str], variables: dict[str, str], tree: Tree) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=variables | tree.variables(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        tree.end()
        process.wait()


def _clients(marks: Path) -> list[int]:
    return [int(line) for line in marks.read_text().split()] if marks.exists() else []


def _wait_for(condition: Callable[[], bool], problem: str) -> None:
    end = time.monotonic() + _LIMIT
    while not condition():
        if time.monotonic() > end:
            raise BenchmarkError(f"{problem} within {_LIMIT:.0f} s")
        time.sleep(0.05)


def _answers(host: str, port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex((host, port)) == 0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
