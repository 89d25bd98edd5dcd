"""Measures what the SDK costs a device: `make footprint`. Linux.

Installs the base package, without PyTorch, into an environment of its own, and measures there:

* the size of the installation
* time and memory of the imports, up to the first recommendation, and up to a finished update; the latter also with the
  engine torch in this environment
* what the extra `secure` adds to the imports
* milliseconds per recommendation, beside the bare graph and NumPy doing the same

The widths are the paper's, and FedNCF's unless another recommender is named. One thread is used. A figure is the least
of some runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from client_sdk.kernel.models import RECOMMENDERS
from client_sdk.protocol.values import Model
from client_sdk.store.sqlite_store import SqliteStore
from export.bundle import Bundle, build
from export.graphs import Precision
from export.plan.message import plan_of
from fedau2.wire import blobs

ROOT = Path(__file__).parents[1]
CATALOGUES = (3_706, 100_000)
HISTORY = 20
REPEATS = 5
_SIZES = """
import json
from importlib.metadata import distributions
sizes = {d.name: sum(file.locate().stat().st_size for file in d.files or ()) for d in distributions()}
print(json.dumps({name: size for name, size in sizes.items() if name not in ("pip", "setuptools")}))
"""


def main() -> None:
    """Measures and prints tables."""
    parser = argparse.ArgumentParser(description="Measures what the SDK costs a device.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedau2-footprint-") as name:
        figures = measure(Path(name))
    for line in tables(figures):
        print(line)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


def measure(folder: Path) -> dict[str, Any]:
    """Measures everything: sizes in bytes, times in milliseconds, memory in MiB."""
    download = fetch(folder / "wheels")
    python = install(folder)
    figures: dict[str, Any] = {"download": download, "installed": _installed(python), "recommend": {}}
    figures["import"] = _best([_probe(python, "import") for _ in range(REPEATS)])
    for items in CATALOGUES:
        for precision in get_args(Precision):
            state = folder / f"{items}-{precision}"
            bundle = _bundle(items, precision)
            for store in (state, Path(f"{state}-copy")):
                fill(store, bundle)
            runs = [_probe(python, "recommend", str(state), str(time.monotonic())) for _ in range(REPEATS)]
            figures["recommend"][f"{items} items, {precision}"] = _best(runs)
    figures["train"] = training(folder, python)
    add(folder, python, "fedau2[secure]")
    figures["secure"] = _installed(python)
    figures["masking"] = _best([_probe(python, "secure") for _ in range(REPEATS)])
    return figures


def training(folder: Path, python: Path) -> dict[str, Any]:
    """Measures from process start to a finished update: by the graph without PyTorch, and by PyTorch installed here."""
    figures = {}
    for model in RECOMMENDERS:
        state = folder / f"train-{model}"
        fill(state, _bundle(3_706, "fp32", model))
        pythons = {"onnx": python, "torch": Path(sys.executable)}
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
        for _ in range(REPEATS):  # they alternate, so that other work on the machine affects both
            for name, executable in pythons.items():
                runs[name].append(_probe(executable, "train", str(state), str(time.monotonic()), name))
        figures[model] = {name: _best(repeats) for name, repeats in runs.items()}
    return figures


def fetch(wheels: Path) -> dict[str, int]:
    """Downloads the package of this checkout and its dependencies as wheels; returns their sizes by name, in bytes."""
    _output(Path(sys.executable), "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(wheels), f"{ROOT}[secure]")
    return {wheel.name.split("-")[0]: wheel.stat().st_size for wheel in wheels.iterdir()}


def install(folder: Path) -> Path:
    """Installs the base package from `folder/wheels` into an environment; returns its Python."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv/bin/python"
    add(folder, python, "fedau2")
    return python


def add(folder: Path, python: Path, package: str) -> None:
    """Installs a package from `folder/wheels`."""
    wheels = str(folder / "wheels")
    _output(python, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", wheels, package)


def _installed(python: Path) -> dict[str, int]:
    sizes: dict[str, int] = json.loads(_output(python, "-c", _SIZES))
    return sizes


def _bundle(items: int, precision: Precision, model: str = "fedncf") -> Bundle:
    plan = plan_of(model, {"adversaries": [{"attribute": "gender", "classes": ["M", "F"]}]})
    return build(model, [f"movie-{number}" for number in range(items)], plan, 1, precision=precision)


def fill(folder: Path, bundle: Bundle) -> None:
    """Fills a state folder as a first sync does, and records some interactions."""
    manifest = bundle.manifest.SerializeToString(deterministic=True)
    store = SqliteStore(folder)
    for data in (manifest, *bundle.blobs.values()):
        store.keep_blob(blobs.resource(data), data)
    store.adopt(Model("task", 0, blobs.resource(manifest), bundle.manifest.checkpoint))
    store.set_attribute("gender", "F")
    for number in range(HISTORY):
        store.record(f"movie-{7 * number}", number)
    store.close()


def _probe(python: Path, *arguments: str) -> dict[str, Any]:
    probe = str(Path(__file__).with_name("footprint_probe.py"))
    figures: dict[str, Any] = json.loads(_output(python, probe, *arguments))
    return figures


def _output(python: Path, *arguments: str) -> str:
    """Runs a Python and returns its output. The Python that runs this script imports from this checkout."""
    # The other Python may import nothing of this environment or this checkout.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if python == Path(sys.executable):
        environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'proto'}"
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([python, *arguments], capture_output=True, text=True, env=environment, cwd=python.parent)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}\n{done.stderr}")
    return done.stdout


def _best(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Takes the lowest value of every figure, since other work on the machine only adds to them."""
    return {name: min(run[name] for run in runs) for name in runs[0]}


def tables(figures: dict[str, Any]) -> Iterator[str]:
    """Formats the figures as Markdown."""
    yield "| package | to download, MB | installed, MB |\n|---|---|---|"
    yield from _packages(figures["installed"], figures["download"])
    further = {name: size for name, size in figures["secure"].items() if name not in figures["installed"]}
    yield "\n| with [signed] or [secure] also | to download, MB | installed, MB |\n|---|---|---|"
    yield from _packages(further, figures["download"])
    imports = figures["import"]
    yield (
        f"\nimport client_sdk: {imports['import_ms']:.0f} ms; with FedClient {imports['client_ms']:.0f} ms, "
        f"{imports['rss']:.0f} MiB; of torch, pandas, onnxruntime, grpc, cryptography loaded: "
        f"{imports['heavy'] or 'none'}\n"
    )
    masking = figures["masking"]
    yield (
        f"The imports of a contribution to a secure sum take {masking['secure_ms']:.0f} ms and "
        f"{masking['secure_rss']:.0f} MiB more.\n"
    )
    yield "| catalogue | start to first, ms | processor | MiB then | later | most | recommend(10), ms | graph | NumPy |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, run in figures["recommend"].items():
        yield (
            f"| {name} | {run['first_ms']:.0f} | {run['first_cpu_ms']:.0f} | {run['first_rss']:.0f} | {run['rss']:.0f} "
            f"| {run['peak']:.0f} | {run['recommend_ms']:.2f} | {run['graph_ms']:.2f} | {run['numpy_ms']:.2f} |"
        )
    yield "\n| finished update | onnx: ms | processor | most MiB | torch: ms | processor | most MiB | ms | MiB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for model, run in figures["train"].items():
        ours, theirs = run["onnx"], run["torch"]
        values = [engine[name] for engine in (ours, theirs) for name in ("update_ms", "update_cpu_ms", "update_rss")]
        ratios = [theirs[name] / ours[name] for name in ("update_ms", "update_rss")]
        cells = " | ".join([*(f"{value:.0f}" for value in values), *(f"{ratio:.1f}" for ratio in ratios)])
        yield f"| {model} | {cells} |"


def _packages(installed: dict[str, int], download: dict[str, int]) -> Iterator[str]:
    for name in sorted(installed, key=lambda package: -installed[package]):
        yield f"| {name} | {download[name] / 1e6:.1f} | {installed[name] / 1e6:.1f} |"
    yield f"| all | {sum(download[name] for name in installed) / 1e6:.1f} | {sum(installed.values()) / 1e6:.1f} |"


if __name__ == "__main__":
    main()
