"""The bundle of a task: its parts, how they are built, and how they lie in a folder.

manifest.binpb        the TaskManifest, serialised
blobs/<sha256, hex>   catalogue, checkpoint and graphs
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client_sdk import draws
from client_sdk.errors import UnsupportedTaskError
from client_sdk.onnx.graph import metadata
from client_sdk.plan import EraserPlan
from export import declaring
from export.errors import DamagedBundleError, NotABundleError, PlanError, TargetError
from export.items import catalogue
from export.items import read_items as read_items  # a name of this module since 0.1
from fedau2 import files
from fedau2.v1.task_pb2 import (
    DRAW_UNSPECIFIED,
    GRAPH_KIND_PREPARE,
    GRAPH_KIND_RECOMMEND,
    GRAPH_KIND_STEP,
    GraphKind,
    Plan,
    Resource,
    TaskManifest,
)
from fedau2.wire import blobs, bundles, erasers, manifest, matchings, passes, staleness, weights
from fedau2.wire.bundles import BLOBS, MANIFEST
from fedau2.wire.errors import BlobError, ManifestError

if TYPE_CHECKING:
    from client_sdk.kernel.models import RecommenderEntry
    from export.graphs import Precision
    from export.plan.schema import Plan as FilePlan

PLAN, ITEMS = "plan.yaml", "items.txt"
"""The files of a run folder that a bundle is made from: its resolved plan and its catalogue's ids."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A task, ready to be created.

    Attributes:
        manifest: checked.
        blobs: every blob that the manifest names, by SHA-256.
    """

    manifest: TaskManifest
    blobs: Mapping[bytes, bytes]

    def blob(self, resource: Resource) -> bytes:
        """The content that the manifest addresses by `resource`."""
        return self.blobs[resource.sha256]

    def graph(self, kind: GraphKind.ValueType) -> bytes:
        """The bundle's graph of a kind."""
        return next(self.blob(graph.resource) for graph in self.manifest.graphs if graph.kind == kind)


def build(
    model: str,
    items: Sequence[str],
    plan: Plan,
    seed: int,
    widths: Any = None,  # noqa: ANN401 - each recommender has its own
    precision: "Precision" = "fp32",
    training: bool = True,
    required_features: Sequence[str] = (),
    serving: bool = True,
) -> Bundle:
    """Builds a bundle. The same arguments give the same bytes, on one machine and with the same versions.

    Args:
        model: name of the recommender.
        items: the catalogue, in row order.
        plan: for the manifest.
        seed: of the initial checkpoint, which is public.
        widths: the recommender's own `Widths`; None for its defaults.
        precision: type of the serving tensors over items in a device's memory, "fp32" or "fp16".
        training: True to add the training graph, by which devices without PyTorch train. A recommender that does not
            say how it draws has no such graph.
        required_features: names of what a device must understand to take part in the task.
        serving: True to add the graphs by which devices recommend. Exporting them takes seconds.

    Raises:
        UnknownModelError: there is no such recommender.
        ItemsError: the items cannot be a catalogue.
        PlanError: the plan cannot be run with this recommender.
    """
    task = declaring.draft(model, len(items), plan, widths)
    task.required_features.extend(required_features)
    return assemble(task, catalogue(items), seed, precision, training, serving)


def assemble(
    task: TaskManifest,
    ids: bytes,
    seed: int | str,
    precision: "Precision" = "fp32",
    training: bool = True,
    serving: bool = True,
) -> Bundle:
    """Completes a manifest that has its plan and the recommender's own tensors, and makes its blobs.

    Args:
        task: is changed.
        ids: the catalogue blob.
        seed: of the initial checkpoint.
        precision: see `build`.
        training: see `build`.
        serving: see `build`.

    Raises:
        PlanError: the plan cannot be run with this recommender.
    """
    declared = declaring.recommender(task.model)
    if task.plan.HasField("interactions") and weights.FEATURE not in task.required_features:
        task.required_features.append(weights.FEATURE)
    if task.plan.matchings and matchings.FEATURE not in task.required_features:
        task.required_features.append(matchings.FEATURE)
    if task.plan.server.HasField("buffered") and staleness.FEATURE not in task.required_features:
        task.required_features.append(staleness.FEATURE)
    if task.plan.server.passes and passes.FEATURE not in task.required_features:
        task.required_features.append(passes.FEATURE)
    task.required_features.extend(name for name in erasers.features(task) if name not in task.required_features)
    try:
        declaring.complete(task)
        contents = _blobs(task, declared, ids, seed, precision, training, serving)
        manifest.check(task)
    except (ManifestError, UnsupportedTaskError) as error:
        raise PlanError(str(error)) from error
    return Bundle(task, {blobs.sha256(data): data for data in contents})


def from_plan(
    plan: "FilePlan",
    items: Sequence[str],
    seed: int,
    precision: "Precision" = "fp32",
    training: bool = True,
    serving: bool = True,
) -> Bundle:
    """Builds the bundle of a resolved plan, see `build`.

    Raises:
        UnknownModelError, ItemsError, PlanError: see `build`.
    """
    from export.plan.message import to_message

    widths = plan.model.widths()
    return build(plan.model.name, items, to_message(plan), seed, widths, precision, training, serving=serving)


def _blobs(
    task: TaskManifest,
    declared: "RecommenderEntry",
    ids: bytes,
    seed: int | str,
    precision: "Precision",
    training: bool,
    serving: bool,
) -> list[bytes]:
    """Makes the blobs and enters their addresses in the manifest."""
    checkpoint = blobs.pack(draws.initial(manifest.shared(task).values(), _key(seed)))
    task.catalogue.CopyFrom(blobs.resource(ids))
    task.checkpoint.CopyFrom(blobs.resource(checkpoint))
    stamped = _graphs(task, declared, precision, training and task.draw != DRAW_UNSPECIFIED, serving)
    for kind, data in stamped.items():
        task.graphs.add(kind=kind, resource=blobs.resource(data))
    return [ids, checkpoint, *stamped.values()]


def _graphs(
    task: TaskManifest, declared: "RecommenderEntry", precision: "Precision", training: bool, serving: bool
) -> dict[GraphKind.ValueType, bytes]:
    """Exports the graphs that devices need for what they do; loads no exporter if they need none."""
    if not (training or serving):
        return {}
    from export import exporter, graphs, step

    made: dict[GraphKind.ValueType, bytes] = {}
    if serving:
        erased = EraserPlan.of(task.plan.eraser).structure if task.plan.HasField("eraser") else None
        exported = graphs.export(declared.model, task.tensors, precision, erased)
        made |= {GRAPH_KIND_PREPARE: exported.prepare, GRAPH_KIND_RECOMMEND: exported.recommend}
    if training:
        made[GRAPH_KIND_STEP] = step.export(declared, task)
    return {kind: exporter.stamp(data, metadata(task, kind)) for kind, data in made.items()}


def _key(seed: int | str) -> bytes:
    """The checkpoint's key, which is public and differs from the key of every device."""
    return blobs.sha256(f"fedau2 initial checkpoint {seed}".encode())[:16]


def write(bundle: Bundle, folder: Path) -> None:
    """Writes a bundle to a new or empty folder: either all of it or nothing.

    Raises:
        TargetError: the folder is not empty, or cannot be written.
    """
    folder = folder.absolute()
    try:
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise TargetError(f"{folder} exists and is not empty: choose another folder or remove it")
        folder.parent.mkdir(parents=True, exist_ok=True)
        # The folder is made within the temporary one, because only the latter's permissions are narrow.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
            staged = Path(beside) / folder.name
            _write_all(bundle, staged)
            staged.replace(folder)
    except OSError as error:
        raise TargetError(f"{folder} cannot be written: {error}") from error


def _write_all(bundle: Bundle, folder: Path) -> None:
    (folder / BLOBS).mkdir(parents=True)
    for sha256, data in bundle.blobs.items():
        files.write(folder / BLOBS / sha256.hex(), data)
    files.write(folder / MANIFEST, bundle.manifest.SerializeToString(deterministic=True))


def read(folder: Path) -> Bundle:
    """Reads a bundle and checks every blob against its hash. Needs no PyTorch.

    Raises:
        NotABundleError: the folder holds no bundle.
        DamagedBundleError: a blob is missing or damaged, or the manifest cannot be run.
    """
    try:
        task = bundles.read_manifest(folder)
    except OSError as error:
        raise NotABundleError(f"{folder} is not a bundle: its {MANIFEST} cannot be read: {error}") from error
    except ManifestError as error:
        raise DamagedBundleError(f"{folder}: {error}") from error
    return Bundle(task, {resource.sha256: _read_blob(folder, resource) for resource in manifest.blobs(task)})


def _read_blob(folder: Path, resource: Resource) -> bytes:
    try:
        return bundles.read_blob(folder, resource)
    except OSError as error:
        path = bundles.blob_path(folder, resource)
        raise DamagedBundleError(f"{path} cannot be read: {error}; copy the whole bundle again") from error
    except BlobError as error:
        raise DamagedBundleError(f"{bundles.blob_path(folder, resource)}: {error}") from error
