"""A small task over an app's own items, made without PyTorch.

It is filled into a template: a task with its graphs that comes with the package. The template was made by the exporter
for sizes and a name that stand out, and a small task has the app's own in their places. Graphs hold no weights, and
their nodes do not depend on the sizes, so that they are then what the exporter makes.
`python -m scripts.testing_template` makes the template.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from client_sdk import arguments, draws
from client_sdk.errors import UsageError
from client_sdk.onnx import graph
from client_sdk.testing import filling
from client_sdk.testing.filling import Filling
from fedau2 import files
from fedau2.v1.onnx_pb2 import OnnxModel
from fedau2.v1.task_pb2 import GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND, GRAPH_KIND_STEP, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_ADVERSARY, TensorSpec
from fedau2.wire import blobs, bundles, manifest
from fedau2.wire.errors import BlobError, ManifestError

GRAPHS = {
    GRAPH_KIND_PREPARE: "prepare.onnx",
    GRAPH_KIND_RECOMMEND: "recommend.onnx",
    GRAPH_KIND_STEP: "step.onnx",
}
TASK = "task.binpb"
"""The files of a template."""

ATTRIBUTE = "attribute-of-the-template"
CLASSES = 13
TILES, TILE, PADDING = 31, 2048, 19
ITEMS = TILES * TILE - PADDING
"""The name and the sizes of a template. `TILE` is also the most items that a graph scores at once."""

_KEY = blobs.sha256(b"fedau2 testing")[:16]


@dataclass(frozen=True, eq=False)
class SmallTask:
    """A manifest, and the blobs that it names."""

    manifest: TaskManifest
    blobs: Sequence[bytes]

    @classmethod
    def make(cls, items: Sequence[str], attribute: str | None, classes: Sequence[str]) -> "SmallTask":
        """Makes a task of FedNCF. The same arguments give the same bytes.

        Args:
            items: the catalogue.
            attribute: the attribute that it unlearns; None: no attribute.
            classes: the attribute's values.

        Raises:
            UsageError: the items cannot be a catalogue, or the attribute and its values cannot be used.
        """
        classes = [arguments.text("a class", value) for value in _listed("classes", classes)]
        if attribute is not None:
            attribute = arguments.text("attribute", attribute)
        listed = _listed("items", items)
        ids = _catalogue(listed)
        fill = Filling(_numbers(len(listed), len(classes)), {ATTRIBUTE: attribute or ""}, CLASSES)
        folder = resources.files("client_sdk.testing") / "template" / ("plain" if attribute is None else "unlearning")
        task = TaskManifest.FromString((folder / TASK).read_bytes())
        _fill(task, fill, classes)
        checkpoint = blobs.pack(draws.initial(manifest.shared(task).values(), _KEY))
        task.catalogue.CopyFrom(blobs.resource(ids))
        task.checkpoint.CopyFrom(blobs.resource(checkpoint))
        made = [ids, checkpoint]
        for kind, name in GRAPHS.items():
            model = OnnxModel.FromString((folder / name).read_bytes())
            filling.fill_graph(model.graph, fill)
            for key, value in graph.metadata(task, kind).items():
                model.metadata_props.add(key=key, value=value)
            made.append(model.SerializeToString(deterministic=True))
            task.graphs.add(kind=kind, resource=blobs.resource(made[-1]))
        try:
            manifest.check(task)
        except ManifestError as error:
            raise UsageError(f"no task can be made of this attribute and these classes: {error}") from error
        return cls(task, made)

    def write(self, folder: Path) -> Path:
        """Writes the task as a bundle to a new folder, and returns the folder."""
        (folder / bundles.BLOBS).mkdir(parents=True)
        for data in self.blobs:
            files.write(bundles.blob_path(folder, blobs.resource(data)), data)
        files.write(folder / bundles.MANIFEST, self.manifest.SerializeToString(deterministic=True))
        return folder


def _listed(argument: str, values: object) -> list[object]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise UsageError(f"{argument} must be a list, not {values!r}")
    return list(values)


def _catalogue(items: Sequence[object]) -> bytes:
    if not items:
        raise UsageError("items is empty: a task has at least one item")
    data = "".join(f"{arguments.item(item)}\n" for item in items).encode()
    try:
        blobs.catalogue(data)
    except BlobError as error:
        raise UsageError(f"items: {error}") from error
    return data


def _numbers(items: int, classes: int) -> Mapping[int, int]:
    """The sizes of a task by those of the template. A graph cuts tensors over items as `export.graphs` says."""
    tiles = math.ceil(items / TILE)
    size = math.ceil(items / tiles)
    padding = tiles * size - items
    return {ITEMS: items, TILES: tiles, TILE: size, PADDING: padding, CLASSES: classes, 2 * CLASSES: 2 * classes}


def _fill(task: TaskManifest, fill: Filling, classes: Sequence[str]) -> None:
    task.items = fill.number(task.items)
    for spec in task.tensors:
        _fill_spec(spec, fill)
    for adversary in task.plan.adversaries:
        adversary.name, adversary.attribute = fill.name(adversary.name), fill.name(adversary.attribute)
        adversary.classes[:] = classes


def _fill_spec(spec: TensorSpec, fill: Filling) -> None:
    spec.name = fill.name(spec.name)
    spec.shape[:] = map(fill.number, spec.shape)
    if spec.scope == TENSOR_SCOPE_ADVERSARY and len(spec.shape) == 2:
        spec.initializer.scale = math.sqrt(2 / sum(spec.shape))  # as the kernel's adversary says
