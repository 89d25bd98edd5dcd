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

ROUNDS: Mapping[str, int] = {
    "loop": 8,
    "copies": 8,
    "fedau2": 25,
    "fedau2-native": 40,
    "fedau2-unlearning": 20,
    "pfl": 8,
    "flower": 3,
}
"""The systems, and the rounds of a run of each: a slow one gets fewer."""

USERS = (943, 10_000, 100_000)
"""Registered users: as many as MovieLens 100K has, and more."""

_LIMIT = 900.0
"""Seconds of a run."""


@dataclass
class Figures:
    """All figures.

    Attributes:
        machine: the machine and the versions.
        cycles: for 943 users, the runs of each cycle; every system runs once in a cycle.
        growth: a run with more users of each system.
        uploads: the cost of uploads to servers, in the order of measurement.
        failed: the reason for each system that could not be installed or run, by its name and users.
    """

    machine: dict[str, Any] = field(default_factory=dict)
    cycles: list[list[Window]] = field(default_factory=list)
    growth: list[Window] = field(default_factory=list)
    uploads: list[Uploads] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

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
        return cls(values["machine"], cycles, growth, uploads, values["failed"])


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
    for cycle in range(cycles):
        figures.cycles.append([])
        for system, environment in environments.items():
            window = _run(system, environment, folder, users[0], figures, say)
            figures.cycles[cycle] += [window] if window else []
            yield figures
    for _ in range(cycles if "flower" in environments else 0):
        _measure_uploads(environments["flower"], folder, users[0], figures, say)
        yield figures
    for number in users[1:]:
        for system, environment in environments.items():
            window = _run(system, environment, folder, number, figures, say)
            figures.growth += [window] if window else []
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
    figures.uploads.append(uploads.coordinator(work.Work(_file(folder, users), users, 0)))
    try:
        with tempfile.TemporaryDirectory() as settings:
            figures.uploads.append(uploads.superlink(flower, Path(settings)))
    except BenchmarkError as error:
        figures.failed["SuperLink"] = str(error)
    for measured in figures.uploads[-2:]:
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
