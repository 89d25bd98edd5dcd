"""The bundles of the vectors: `conformance/bundles`, which `build` makes anew and everything else only reads."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedau2.v1.task_pb2 import GRAPH_KIND_STEP, Resource, TaskManifest
from fedau2.wire import blobs, bundles, manifest

FOLDER = Path(__file__).parents[2] / "conformance" / "bundles"
ITEMS = [f"item-{number}" for number in range(40)]

_GENDER = {"attribute": "gender", "classes": ["F", "M"], "protects": "embedding", "head": "dsvae", "trigger": "sut"}
_AGE = {"attribute": "age", "classes": ["young", "middle", "old"], "protects": "embedding", "head": "mlp"}
PLANS: Mapping[str, Mapping[str, Any]] = {
    "fedncf": {
        "model": {"name": "fedncf", "gmf": 4, "mlp": 8, "hidden": [8, 4]},
        "local": {"steps": 2, "negatives": 2, "chunk": 8, "shared_learning_rate": 0.1, "cover_rows": 0.5},
        "adversaries": [
            {**_GENDER, "clip_norm": 0.5, "noise_multiplier": 0.25},
            {**_AGE, "trigger": "global"},
        ],
    },
    "fedvae": {"model": {"name": "fedvae", "hidden": 6, "latent": 4}, "adversaries": [{**_GENDER, "head": "vae"}]},
    "fedrap": {"model": {"name": "fedrap", "latent": 3}, "adversaries": [{**_GENDER, "head": "scalar"}]},
}
"""The plan of each bundle: together they have every way to draw, every defence, and several steps."""


@dataclass(frozen=True)
class Bundle:
    """A bundle, read from its folder."""

    name: str
    data: bytes

    @property
    def task(self) -> TaskManifest:
        """The manifest."""
        return manifest.parse(self.data)

    def blob(self, resource: Resource) -> bytes:
        """Returns one of its blobs."""
        return bundles.read_blob(FOLDER / self.name, resource)

    def step(self) -> bytes:
        """Returns its training graph."""
        return next(self.blob(graph.resource) for graph in self.task.graphs if graph.kind == GRAPH_KIND_STEP)

    def served(self) -> dict[bytes, bytes]:
        """Returns everything that a coordinator serves of it, by hash."""
        found = [self.data, *(self.blob(resource) for resource in manifest.blobs(self.task))]
        return {blobs.sha256(data): data for data in found}


def read(name: str) -> Bundle:
    """Reads a bundle."""
    return Bundle(name, (FOLDER / name / bundles.MANIFEST).read_bytes())


def build() -> None:
    """Builds all bundles anew; their graphs depend on the versions of PyTorch and onnxscript that are installed."""
    import shutil
    from tempfile import TemporaryDirectory

    from export.cli import main

    with TemporaryDirectory() as folder:
        items, plan = Path(folder) / "items.txt", Path(folder) / "plan.yaml"
        items.write_text("".join(f"{item}\n" for item in ITEMS), "utf-8")
        for name, settings in PLANS.items():
            plan.write_text(json.dumps(settings), "utf-8")
            shutil.rmtree(FOLDER / name, ignore_errors=True)
            main(["bundle", f"--plan={plan}", f"--items={items}", "--seed=1", f"--out={FOLDER / name}"])
