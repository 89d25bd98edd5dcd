"""Tests the wheel beside the oldest and newest packages that it allows, and beside Flower: `make compatibility`.

An environment of its own is made for each case. There the base package is installed and the tests of the protocol run,
then the extras are installed and the tests of both ends of a round run. The tests import the wheel, not this checkout.
"""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
EXTRAS = "export,coordinator"
BEYOND = ("stubs", "imports", "programs", "certificates", "weights")  # the generator; packages that extras bring
PROTOCOL = (
    "tests/proto",
    "--ignore=tests/proto/identity",
    *(f"--ignore=tests/proto/test_{name}.py" for name in BEYOND),
)
ENDS = (
    "tests/client_sdk/client",
    "tests/client_sdk/transport/test_grpc_transport.py",
    "tests/coordinator/grpc",
    "tests/coordinator/engine/test_coordinator_service.py",
)


def main() -> None:
    """Tests every case; stops at the first that fails."""
    cases = {"oldest": floors(), "newest": [], "Flower": ["flwr"]}
    with TemporaryDirectory(prefix="fedau2-compatibility-") as name:
        folder = Path(name)
        wheel = build(folder / "wheel")
        for copied in ("tests", "scripts", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / copied).is_dir() else shutil.copy
            copy(ROOT / copied, folder / copied)
        for case, beside in cases.items():
            print(f"{case}: {' '.join(beside)}", flush=True)
            check(folder, case, wheel, beside)


def floors() -> list[str]:
    """The oldest version of each dependency of the base package, as requirements."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    found = []
    for requirement in map(Requirement, declared):
        (floor,) = [each.version for each in requirement.specifier if each.operator == ">="]
        found.append(f"{requirement.name}=={floor}")
    return found


def build(folder: Path) -> Path:
    """Builds the wheel of this checkout."""
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, cwd=ROOT)
    (wheel,) = folder.iterdir()
    return wheel


def check(folder: Path, case: str, wheel: Path, beside: list[str]) -> None:
    """Makes an environment with the wheel and other requirements, and runs the tests in it."""
    environment = folder / case
    venv.create(environment, with_pip=True)
    python = environment / "bin/python"
    for package, tests in ((wheel, PROTOCOL), (f"{wheel}[{EXTRAS}]", ENDS)):
        _run(python, "-m", "pip", "install", "--quiet", package, *beside, "pytest", "hypothesis", cwd=folder)
        _run(python, "-m", "pip", "check", cwd=folder)
        _run(python, "-m", "pytest", "-p", "no:cacheprovider", *tests, cwd=folder)
    shutil.rmtree(environment)  # it holds PyTorch


def _run(*command: str | Path, cwd: Path) -> None:
    # The environments import nothing of the one that runs this script.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    variables |= {"OMP_NUM_THREADS": "1", "CI": "true"}  # properties are tried on the same examples, without deadlines
    done = subprocess.run(command, cwd=cwd, env=variables)
    if done.returncode:
        raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
