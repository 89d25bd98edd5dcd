"""The other frameworks: pinned versions, and a virtual environment for each."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError

ROOT = Path(__file__).parents[1]
TORCH = "torch==2.13.0"
"""PyTorch of every environment. It is installed first, so that a framework cannot bring another one."""

PEERS: Mapping[str, tuple[str, ...]] = {
    "flower": ("flwr[simulation]==1.42.0", "ray==2.55.1"),
    "pfl": ("pfl[pytorch]==0.6.0",),
}
"""The packages of each framework, by the name of its system."""


@dataclass(frozen=True)
class Environment:
    """A Python with all that a system needs.

    Attributes:
        python: its interpreter.
        paths: folders of modules that are added to it.
    """

    python: Path
    paths: tuple[Path, ...] = (ROOT, ROOT / "proto")

    def variables(self) -> dict[str, str]:
        """Returns the environment variables of its processes: one thread each, and Ray's as urgent as all others."""
        paths = os.pathsep.join([*map(str, self.paths), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        quiet = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
        return os.environ | quiet | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def ours() -> Environment:
    """Returns the environment that runs this."""
    return Environment(Path(sys.executable))


def install(name: str, folder: Path) -> Environment:
    """Makes a framework's environment, unless it is there.

    Args:
        name: of its system.
        folder: holds the environments.

    Raises:
        BenchmarkError: the packages cannot be installed; the text is pip's.
    """
    place, packages = folder / name, PEERS[name]
    python, done = place / "bin" / "python", place / "installed.txt"
    if not done.exists() or done.read_text() != "\n".join(packages):
        _call([sys.executable, "-m", "venv", "--clear", str(place)])
        constraint = place / "constraint.txt"
        constraint.write_text(f"{TORCH}\n")
        _call([str(python), "-m", "pip", "install", "--quiet", TORCH, "numpy"])
        _call([str(python), "-m", "pip", "install", "--quiet", "--constraint", str(constraint), TORCH, *packages])
        done.write_text("\n".join(packages))
    return Environment(python)


def _call(command: Sequence[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        errors = [line for line in result.stderr.splitlines() if not line.startswith("WARNING")]
        raise BenchmarkError(f"{' '.join(command)} failed: {' '.join(errors[-5:])}")
