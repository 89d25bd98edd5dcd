"""Compares what two checkouts train: short runs of every recommender by every engine, byte for byte.

    git worktree add ../before aa6be38
    python scripts/same_bytes.py ../before .

Each run gives digests of all tensors that are packed while it trains (shared tensors, private state, moments), its
figures, its rounds and its users' ranks. The table has a line for each run; the exit status is 1 where any differ.

The command line of a run may change from one checkout to another, so the commands are data: `COMMANDS` has those of the
first and of the second checkout. The first ones are those of commit aa6be38 and stay as they are.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

MODELS = ("fedncf", "fedrap", "fedvae")

_SMALL = (
    "--dataset synthetic --users 60 --items 200 --rounds 4 --evaluate-every 2 --attack-splits 1 --workers 1 --seed 7"
)

_BEFORE = {
    "batched": "--engine batched",
    "batched, defended": "--engine batched --adversary-clip-norm 0.1 --adversary-noise 1 --cover-rows 0.5",
    "batched, 2 steps": "--engine batched --local-steps 2 --adversary scalar",
    "fleet": "--engine fleet",
    "fleet, onnx": "--engine fleet --trainer onnx --adversary vae",
}

_AFTER = {
    "batched": "--engine batched",
    "batched, defended": "--adversary.clip-norm 0.1 --adversary.noise-multiplier 1 --local.cover-rows 0.5",
    "batched, 2 steps": "--engine batched --local.steps 2 --adversary.head scalar",
    "fleet": "--engine fleet",
    "fleet, onnx": "--engine fleet --trainer onnx --adversary.head vae",
}

COMMANDS: Mapping[str, Mapping[str, str]] = {
    "before": {name: f"run --model {{model}} {_SMALL} {flags} --out {{out}}" for name, flags in _BEFORE.items()},
    "after": {name: f"run --model {{model}} {_SMALL} {flags} --out {{out}}" for name, flags in _AFTER.items()},
}
"""Arguments of `fedau2-sim` by checkout and kind of run."""

NOT_COMPARED = ("seconds", "cpu_ms", "cpu_seconds", "peak_rss_mib", "configuration", "bytes_down")
"""Figures that differ between two runs of one checkout, or depend on how configuration and graphs are written down."""

NULLS = "bacc_null_"
"""Figures with this prefix are not compared either: the later suite of attackers has one member more."""

PROBE = """
import contextlib, hashlib, importlib, json, runpy, sys
from pathlib import Path
import simulator
from fedau2.wire import blobs

checkout, out = Path(sys.argv.pop(1)), Path(sys.argv.pop(1))
assert Path(simulator.__file__).is_relative_to(checkout), (simulator.__file__, checkout)
pack, digests = blobs.pack, set()

def recording(tensors):
    for value in tensors.values():
        shape = f"{value.dtype} {value.shape} ".encode()
        digests.add(hashlib.sha256(shape + value.tobytes()).hexdigest())
    return pack(tensors)

blobs.pack = recording
for name in ("simulator.evaluation.attackers", "simulator.attackers"):
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module(name).SHUFFLES = 1
for name, key_of in (("client_sdk.protocol.defences", "_noise_key"), ("client_sdk.defences", "_key_of")):
    with contextlib.suppress(ModuleNotFoundError):
        defences = importlib.import_module(name)
        assert getattr(defences, key_of)
        setattr(defences, key_of, lambda task, key, *salt: key)
sys.argv[0] = "simulator"
try:
    runpy.run_module("simulator", run_name="__main__")
finally:
    out.write_text(json.dumps(sorted(digests)))
"""
"""Runs `fedau2-sim` and writes a digest of every tensor that was packed.

The nulls of attribute attacks take longer than all the rest, so they are shortened. The noise of defences is drawn
from a key that depends on every byte of the manifest, so that devices draw other noise where a manifest is written
differently. Here they draw the same.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs everything in both checkouts, prints a table, and returns the exit status."""
    parser = argparse.ArgumentParser(description="Compares what two checkouts train, byte for byte.")
    parser.add_argument("before", type=Path, help="a checkout of the earlier code")
    parser.add_argument("after", type=Path, help="a checkout of the later code")
    parser.add_argument("--model", action="append", choices=MODELS, help="recommender; may be repeated (all)")
    parser.add_argument("--kind", action="append", choices=_BEFORE, help="kind of run; may be repeated (all)")
    options = parser.parse_args(arguments)
    print(f"{'run':28} {'tensors':>8}  result", flush=True)
    different = 0
    with tempfile.TemporaryDirectory(prefix="fedau2-same-bytes-") as name:
        for model in options.model or MODELS:
            for kind in options.kind or _BEFORE:
                before, after = (
                    _run(checkout.resolve(), COMMANDS[when][kind], model, Path(name) / f"{model}-{kind}-{when}")
                    for when, checkout in (("before", options.before), ("after", options.after))
                )
                differences = list(_differences(before, after))
                different += bool(differences)
                tensors = len(json.loads((before / "digests.json").read_text()))
                print(f"{f'{model}, {kind}':28} {tensors:>8}  {'; '.join(differences) or 'the same'}", flush=True)
    return 1 if different else 0


def _run(checkout: Path, command: str, model: str, folder: Path) -> Path:
    """Trains in one checkout; returns the folder with the run and its digests."""
    folder.mkdir()
    words = [word.format(model=model, out=folder / "run") for word in command.split()]
    environment = {**os.environ, "PYTHONPATH": f"{checkout}{os.pathsep}{checkout / 'proto'}", "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-c", PROBE, str(checkout), str(folder / "digests.json"), *words]
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout}: fedau2-sim {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return folder


def _differences(before: Path, after: Path) -> Iterator[str]:
    """Describes everything in which two runs differ."""
    old, new = (set(json.loads((folder / "digests.json").read_text())) for folder in (before, after))
    if old != new:
        yield f"{len(old - new)} tensors only before, {len(new - old)} only after"
    figures = [json.loads((folder / "run" / "metrics.json").read_text()) for folder in (before, after)]
    yield from (f"metrics.json: {name}" for name in _different(*figures))
    for name in ("rounds.parquet", "ranks.parquet"):
        tables = [pd.read_parquet(folder / "run" / name).to_dict("list") for folder in (before, after)]
        yield from (f"{name}: {column}" for column in _different(*tables))


def _different(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> list[str]:
    """Names whose values differ, or that only one of the two has. NaN equals NaN."""
    names = [name for name in {**before, **after} if name not in NOT_COMPARED and not str(name).startswith(NULLS)]
    return [name for name in names if json.dumps(before.get(name)) != json.dumps(after.get(name))]


if __name__ == "__main__":
    sys.exit(main())
