"""Builds a successor: a bundle that goes on from another one, with another catalogue, plan or both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export import bundle, declaring, features, sums
from export.ancestor import Ancestor, model_of
from export.bundle import Bundle
from export.errors import PlanError
from export.items import catalogue
from fedau2.v1.task_pb2 import Plan, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_ADVERSARY, TENSOR_SCOPE_STATISTIC, TensorSpec
from fedau2.wire import blobs, item_axes, manifest, succession
from fedau2.wire.catalogues import Difference
from fedau2.wire.succession import Succession

if TYPE_CHECKING:
    from export.graphs import Precision


@dataclass(frozen=True)
class Takeover:
    """The items and tensors that a successor has taken over.

    Attributes:
        items: the difference of the catalogues.
        anew: names of the tensors that start anew, because the ancestor has none of that name and shape.
        predicted: number of new items whose rows were predicted from features.
    """

    items: Difference
    anew: tuple[str, ...]
    predicted: int

    def lines(self) -> list[str]:
        """Says it in lines for people."""
        items = self.items
        drawn = items.new - self.predicted
        new = f"{items.new} new ({drawn} drawn, {self.predicted} predicted from features)"
        lines = [f"{items.kept} items taken over, {new}, {items.retired} retired"]
        if self.anew:
            lines.append(f"tensors that start anew: {', '.join(self.anew)}")
        lines += [
            f"warning: {old!r} is retired and {new!r} is new, and they differ by case or Unicode form only: an item "
            "whose id changes loses what was trained"
            for old, new in items.lookalikes
        ]
        return lines


def succeed(
    folder: Path,
    items: Sequence[str] | None,
    seed: int,
    *,
    plan: Plan | None = None,
    widths: Any = None,  # noqa: ANN401 - each recommender has its own
    precision: "Precision" = "fp32",
    described: Mapping[str, features.Vector] | None = None,
    hidden: bool = False,
) -> tuple[Bundle, Takeover]:
    """Builds a bundle that goes on from another one. The same arguments give the same bytes.

    Every number that belongs to an item is taken over by the item's id. The numbers of new items are drawn as in a new
    bundle, or predicted from features. Those of items that are gone are left out.

    Args:
        folder: of the ancestor: a bundle, as `fedau2-export bundle` or `fedau2-coordinator export` writes it, or a run
            of the simulator that kept its model.
        items: the catalogue, in row order; None: the ancestor's.
        seed: of the numbers that are drawn.
        plan: for the manifest; None: the ancestor's, with its widths.
        widths: with `plan`: the recommender's own `Widths`, None for its defaults.
        precision: see `bundle.build`.
        hidden: True if the caller adds a policy of secure sums, which a run with such sums needs.
        described: features by item id, by which new items begin with predicted rows.

    Raises:
        NotABundleError, DamagedBundleError: the ancestor cannot be read.
        UnknownModelError, ItemsError: see `bundle.build`.
        PlanError: see `bundle.build`, `Ancestor.read` and `sums.expect_hidden`.
        FeaturesError: the features cannot be used.
    """
    ancestor = Ancestor.read(folder, hidden)
    old, before = ancestor.task, ancestor.items
    after = list(before if items is None else items)
    ids = catalogue(after)
    task = TaskManifest(format=manifest.FORMAT, model=old.model, plan=plan or old.plan, items=len(after))
    task.tensors.extend(_tensors(old, task.items) if plan is None else _declared(old.model, task.items, widths))
    task.required_features.extend(old.required_features)
    if old.HasField("secure_sums"):
        task.secure_sums.CopyFrom(old.secure_sums)
    if not hidden:
        sums.expect_hidden(task)
    task.ancestors.extend(ancestor.hashes)
    task.first_round = old.first_round
    # With the ancestor's hash, so that the same seed draws other numbers than it did for the ancestor.
    built = bundle.assemble(task, ids, f"{seed} after {ancestor.identity.hex()}", precision, ancestor.training)
    way = Succession.of(before, after)
    trained, fresh = ancestor.tensors, blobs.unpack(built.blob(built.manifest.checkpoint))
    predicted = 0
    if described is not None:
        predicted = features.predict(task, way, before, after, trained, fresh, described)
    carried = succession.carry(old, task, way, trained, fresh)
    anew = tuple(sorted(fresh.keys() - carried.keys()))
    takeover = Takeover(Difference.of(before, after), anew, predicted)
    return _with_checkpoint(built, blobs.pack(fresh | carried)), takeover


def read_plan(folder: Path, path: Path | None, model: str | None) -> dict[str, Any]:
    """Reads the plan of a successor from a file, as the arguments `plan` and `widths` of `succeed`.

    Args:
        folder: of the ancestor.
        path: the plan file; None: the ancestor's plan, so that no argument is returned.
        model: the recommender, where the file names none; None: the ancestor's.

    Raises:
        NotABundleError, DamagedBundleError: the ancestor cannot be read.
        PlanError: the plan cannot be used, or is of another recommender, which cannot go on from the ancestor.
    """
    other = model_of(folder)
    if model not in (None, other):
        raise PlanError(f"{folder} is a bundle of {other}, from which {model} cannot go on")
    if path is None:
        return {}
    from export.plan import message, planfile, resolve

    plan = resolve.resolve(planfile.read(path, other), {})
    return {"plan": message.to_message(plan), "widths": plan.model.widths()}


def _declared(model: str, items: int, widths: Any) -> list[TensorSpec]:  # noqa: ANN401
    specs: list[TensorSpec] = declaring.recommender(model).model.tensors(items, widths)
    return specs


def _tensors(old: TaskManifest, items: int) -> Iterator[TensorSpec]:
    """Yields the recommender's own tensors in the ancestor's widths. Older bundles lack some of the item axes."""
    declared = {spec.name: spec for spec in _declared(old.model, old.items, None)}
    for spec in old.tensors:
        if spec.scope in (TENSOR_SCOPE_ADVERSARY, TENSOR_SCOPE_STATISTIC):
            continue
        copy = TensorSpec.FromString(spec.SerializeToString())
        if not copy.item_axis and spec.name in declared:
            copy.item_axis = declared[spec.name].item_axis
            copy.item_spans.extend(declared[spec.name].item_spans)
        yield item_axes.resized(copy, items)


def _with_checkpoint(built: Bundle, data: bytes) -> Bundle:
    """Replaces the checkpoint of a bundle."""
    task, resource = built.manifest, blobs.resource(data)
    others = {digest: blob for digest, blob in built.blobs.items() if digest != task.checkpoint.sha256}
    task.checkpoint.CopyFrom(resource)
    return Bundle(task, others | {resource.sha256: data})
