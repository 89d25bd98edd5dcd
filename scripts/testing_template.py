"""Makes the template that `client_sdk.testing` fills to get a small task without PyTorch.

    python -m scripts.testing_template

It is made again whenever the graphs of FedNCF, the default plan or the format of bundles change. A test compares what
is filled into it with what the exporter makes.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from client_sdk.testing import small_task
from export import bundle
from export.plan import planfile, resolve
from fedau2.v1.onnx_pb2 import OnnxModel
from fedau2.v1.task_pb2 import TaskManifest

FOLDER = Path(small_task.__file__).parent / "template"
_MODEL = {"name": "fedncf", "gmf": 8, "mlp": 16, "hidden": [16, 8]}
"""Small, so that tests are fast."""


def build(items: list[str], attribute: str | None, classes: list[str]) -> bundle.Bundle:
    """Builds the small task with the exporter."""
    adversaries = [{"attribute": attribute, "classes": classes}] if attribute else []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "plan.yaml"
        path.write_text(json.dumps({"model": _MODEL, "adversaries": adversaries}), "utf-8")  # JSON is YAML
        plan = planfile.read(path)
    return bundle.from_plan(resolve.resolve(plan, {}), items, seed=1)


def write(folder: Path, attribute: str | None) -> None:
    """Writes the template of tasks with or without an attribute."""
    items = [str(row) for row in range(small_task.ITEMS)]
    built = build(items, attribute, [str(number) for number in range(small_task.CLASSES)])
    folder.mkdir(parents=True, exist_ok=True)
    for graph in built.manifest.graphs:
        model = OnnxModel.FromString(built.blob(graph.resource))
        model.ClearField("metadata_props")
        (folder / small_task.GRAPHS[graph.kind]).write_bytes(model.SerializeToString(deterministic=True))
    task = TaskManifest.FromString(built.manifest.SerializeToString())
    for field in ("catalogue", "checkpoint", "graphs"):
        task.ClearField(field)
    (folder / small_task.TASK).write_bytes(task.SerializeToString(deterministic=True))


def main() -> None:
    """Writes both templates."""
    write(FOLDER / "plain", None)
    write(FOLDER / "unlearning", small_task.ATTRIBUTE)


if __name__ == "__main__":
    main()
