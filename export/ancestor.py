"""The ancestor of a successor: a bundle, or the model that a run of the simulator kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from export import bundle, declaring, kept_model
from export.errors import DamagedBundleError, NotABundleError
from export.items import catalogue, read_items
from fedau2.v1.task_pb2 import GRAPH_KIND_STEP, TaskManifest
from fedau2.wire import blobs, bundles, manifest, succession
from fedau2.wire.errors import BlobError


@dataclass(frozen=True, eq=False)
class Ancestor:
    """A trained task.

    Attributes:
        task: its manifest.
        items: its catalogue, in row order.
        tensors: its checkpoint.
        hashes: of the manifests that its devices may have trained for, the newest first. A run has no devices, so it
            has none.
        identity: hash of the task, which the numbers that are drawn for its successor depend on.
        training: True if devices can train it without PyTorch.
    """

    task: TaskManifest
    items: Sequence[str]
    tensors: blobs.Tensors
    hashes: Sequence[bytes]
    identity: bytes
    training: bool

    @classmethod
    def read(cls, folder: Path, hidden: bool = False) -> Self:
        """Reads a bundle, or the folder of a run.

        Args:
            folder: of the bundle or the run.
            hidden: True if the successor gets a policy of secure sums.

        Raises:
            NotABundleError: the folder is neither, or is of a run that kept no model.
            DamagedBundleError: a file of it is damaged.
            PlanError: the run protected what devices would not protect.
        """
        return cls._of_run(folder, hidden) if is_run(folder) else cls._of_bundle(folder)

    @classmethod
    def _of_bundle(cls, folder: Path) -> Self:
        read = bundle.read(folder)
        hashes = succession.ancestors((folder / bundles.MANIFEST).read_bytes())
        training = any(graph.kind == GRAPH_KIND_STEP for graph in read.manifest.graphs)
        try:
            items = blobs.catalogue(read.blob(read.manifest.catalogue))
            tensors = blobs.unpack(read.blob(read.manifest.checkpoint))
        except BlobError as error:
            raise DamagedBundleError(f"{folder}: {error}") from error
        return cls(read.manifest, items, tensors, hashes, hashes[0], training)

    @classmethod
    def _of_run(cls, folder: Path, hidden: bool) -> Self:
        from export.plan import message, planfile, resolve, run_folder

        run_folder.expect_deployable(folder, hidden)
        items = read_items(folder / bundle.ITEMS)
        try:
            tensors = kept_model.read(folder, items)
        except (OSError, BlobError) as error:
            raise DamagedBundleError(
                f"{folder}: the model that the run kept is damaged: {error}; run the simulation again"
            ) from error
        if tensors is None:
            raise NotABundleError(
                f"{folder} is the folder of a run that kept no model to go on from: run it again with --keep model, or "
                "name a bundle. --from-run builds an untrained bundle of the run's plan"
            )
        plan = resolve.resolve(planfile.read_whole(folder / bundle.PLAN, None), {})
        task = declaring.draft(plan.model.name, len(items), message.to_message(plan), plan.model.widths())
        declaring.complete(task)
        shapes = {name: tuple(spec.shape) for name, spec in manifest.shared(task).items()}
        if shapes != {name: value.shape for name, value in tensors.items()}:
            raise DamagedBundleError(
                f"{folder}: the model that the run kept does not fit the run's plan; run the simulation again"
            )
        identity = blobs.sha256(task.SerializeToString(deterministic=True) + catalogue(items) + blobs.pack(tensors))
        return cls(task, items, tensors, (), identity, training=True)


def is_run(folder: Path) -> bool:
    """Returns whether a folder is one of a run, and not of a bundle."""
    return (folder / bundle.PLAN).is_file() and not (folder / bundles.MANIFEST).exists()


def model_of(folder: Path) -> str:
    """Returns the name of the recommender of a bundle or a run.

    Raises:
        NotABundleError, DamagedBundleError, PlanError: see `Ancestor.read`.
    """
    if not is_run(folder):
        return bundle.read(folder).manifest.model
    from export.plan import planfile, resolve

    return resolve.resolve(planfile.read_whole(folder / bundle.PLAN, None), {}).model.name
