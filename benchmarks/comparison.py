"""Runs the systems one after the other, again and again, and collects their figures."""

import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from benchmarks import measure, peers, uploads, work
from benchmarks.errors import BenchmarkError
from benchmarks.measure import Window
from benchmarks.peers import Environment
from benchmarks.uploads import Uploads
from client_sdk.errors import FedError
from simulator.errors import SimulatorError

ROUNDS: Mapping[str, int] = {
    "loop": 5,
    "copies": 4,
    "fedau2": 15,
    "fedau2-native": 25,
    "fedau2-unlearning": 12,
    "pfl": 5,
    "flower": 3,
}
"""The systems, and the rounds of a run of each: a slow one gets fewer."""

USERS = (943, 2_000, 10_000, 100_000)
"""Registered users: as many as MovieLens 100K has, and more."""

LARGEST: Mapping[str, int] = {"flower": 10_000}
"""The most registered users that a system is run with, where the first round would take too long with more."""

_LIMIT = 480.0
"""Seconds of a run."""


@dataclass
class Figures:
    """All figures.

    Attributes:
        machine: the machine and the versions.
        cycles: for 943 users, the runs of each cycle; every system runs once in a cycle.
        growth: a run with more users of each system.
        uploads: the cost of uploads to each server.
        failed: the reason for each system that could not be installed or run, by its name and users.
        minutes: of all runs together, installing included.
    """

    machine: dict[str, Any] = field(default_factory=dict)
    cycles: list[list[Window]] = field(default_factory=list)
    growth: list[Window] = field(default_factory=list)
    uploads: list[Uploads] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    minutes: float = 0.0

    def write(self, file: Path) -> None:
        """Writes them as JSON."""
        file.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")

    @classmethod
    def read(cls, file: Path) -> "Figures":
        """Reads what `write` wrote."""
        values = json.loads(file.read_text("utf-8"))
        cycles = [[Window(**window) for window in cycle] for cycle in values["cycles"]]
        growth = [Window(**window) for window in values["growth"]]
        uploads = [Uploads(**measured) for measured in values["uploads"]]
        return cls(values["machine"], cycles, growth, uploads, values["failed"], values["minutes"])


def compare(
    folder: Path, systems: Sequence[str], cycles: int, users: Sequence[int], say: Callable[[str], None]
) -> Iterator[Figures]:
    """Installs and runs the systems, and yields the figures so far after each run.

    Args:
        folder: holds the environments and the users' items.
        systems: names of the systems.
        cycles: number of runs of each with as many users as MovieLens 100K has.
        users: numbers of registered users; the first is that of the cycles.
        say: receives a line of progress.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = Figures(_machine())
    environments = dict(_environments(folder, systems, figures, say))
    yield figures
    for cycle in range(cycles):
        figures.cycles.append([])
        for system, environment in environments.items():
            window = _run(system, environment, folder, users[0], figures, say)
            figures.cycles[cycle] += [window] if window else []
            yield figures
        if cycle == 0:  # before the other cycles, so that a run that is interrupted has something for every table
            yield from _grow_and_upload(folder, environments, users, figures, say)


def _grow_and_upload(
    folder: Path,
    environments: Mapping[str, Environment],
    users: Sequence[int],
    figures: Figures,
    say: Callable[[str], None],
) -> Iterator[Figures]:
    for number in users[1:]:
        for system, environment in environments.items():
            if number <= LARGEST.get(system, number):
                window = _run(system, environment, folder, number, figures, say)
                figures.growth += [window] if window else []
                yield figures
    if "flower" in environments:
        _measure_uploads(environments["flower"], folder, users[0], figures, say)
        yield figures


def _environments(
    folder: Path, systems: Sequence[str], figures: Figures, say: Callable[[str], None]
) -> Iterator[tuple[str, Environment]]:
    for system in systems:
        try:
            if system == "fedau2-native" and find_spec("fedau2_native") is None:
                raise BenchmarkError("the native kernel is not installed: `make native` builds it")
            if system in peers.PEERS:
                say(f"installing {', '.join(peers.PEERS[system])}")
            yield system, peers.install(system, folder / "environments") if system in peers.PEERS else peers.ours()
        except BenchmarkError as error:
            figures.failed[system] = str(error)
            say(f"without {system}: {error}")


def _measure_uploads(
    flower: Environment, folder: Path, users: int, figures: Figures, say: Callable[[str], None]
) -> None:
    with tempfile.TemporaryDirectory() as settings:
        servers: dict[str, Callable[[], Uploads]] = {
            "coordinator": lambda: uploads.coordinator(work.Work(_file(folder, users), users, 0)),
            "SuperLink": lambda: uploads.superlink(flower, Path(settings)),
        }
        for name, measure_server in servers.items():
            try:
                measured = measure_server()
            except (BenchmarkError, SimulatorError, FedError, OSError) as error:
                figures.failed[name] = str(error)
                say(f"{name}: {error}")
            else:
                figures.uploads.append(measured)
                say(f"{measured.server}: {measured.cpu_ms:.1f} CPU-ms an upload")


def _run(
    system: str, environment: Environment, folder: Path, users: int, figures: Figures, say: Callable[[str], None]
) -> Window | None:
    try:
        window = measure.run(system, environment, work.Work(_file(folder, users), users, ROUNDS[system]), _LIMIT)
    except BenchmarkError as error:
        figures.failed[f"{system}, {users:,} users"] = str(error)
        say(str(error))
        return None
    say(f"{system}, {users:,} users: {window.cpu_ms:.3f} CPU-ms a client, {window.peak_mib:.0f} MiB")
    return window


def _file(folder: Path, users: int) -> Path:
    file = folder / f"{users}.npy"
    if not file.exists():
        work.write(file, users)
    return file


def _machine() -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "packages": {name: list(packages) for name, packages in peers.PEERS.items()} | {"all": [peers.TORCH]},
    }
