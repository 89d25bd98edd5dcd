"""Checks the eraser of a plan, for devices and for the coordinator alike, and names its tensors."""

import math
from collections.abc import Collection

from fedau2.v1.task_pb2 import Eraser, Plan, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_DENSE, TENSOR_SCOPE_PRIVATE, TENSOR_SCOPE_STATISTIC, TensorSpec
from fedau2.wire import matchings
from fedau2.wire.checks import positive, require

FEATURE = "eraser"
"""The feature that a task with an eraser requires: a device that does not know it would show what is to be erased."""

PRIVATE_FEATURE = "private-eraser"
"""The feature that it requires as well if a state is a private tensor: some devices know derived states alone."""

SHIFTS_FEATURE = "eraser-shifts"
"""The feature that it requires as well if devices use shifts: others would move by a map that is not fitted to them."""

FOLDS = 5
"""Parts of the users that are compared with each other. Each device draws its own part once."""

MAX_STEPS = 64
"""Most kernel steps of an eraser."""

SCALE, LINEAR, CLASSES, STEPS = "eraser.scale", "eraser.linear", "eraser.classes", "eraser.steps"
PAIRS = "eraser.pairs"
"""Names of the tensors of an eraser. Devices contribute to all of them:

* `SCALE` (2,): users, and the sum of the logarithms of their states' sizes;
* `LINEAR` (1 + width, 1 + width): the sum of products of 1 and the state's numbers;
* `CLASSES` (folds * classes, 1 + width): users by fold and class, and the sums of their states;
* `STEPS` (steps, folds * classes, 1 + 2 * frequencies): the same of the features of each step;
* `PAIRS` (classes, classes), with shifts of several attributes: users by two of their classes.

The checkpoint has the moving average of `SCALE`. In `LINEAR` it has the linear map: 1 and the offset in the first row,
then a row for each number with its standard deviation after the map, and the matrix. In `STEPS` the first rows of each
step, one for each class, have the offset and the witness. With `Eraser.shifts` the first rows of `CLASSES`, one for
each class, have 1 and the shift; a class without a shift has 0. All else is 0, so that no sum by class is published.
"""


def tensors(plan: Plan) -> tuple[str, ...]:
    """Returns the names of the tensors of a plan's eraser; none if it has no eraser."""
    if not plan.HasField("eraser"):
        return ()
    return (SCALE, LINEAR, CLASSES, STEPS, *((PAIRS,) if has_pairs(plan.eraser) else ()))


def has_pairs(eraser: Eraser) -> bool:
    """Returns True if users are counted by two of their classes, because shifts of several attributes add up."""
    return eraser.shifts and len(eraser.erased) > 1


def classes(eraser: Eraser) -> int:
    """Returns the number of classes of all erased attributes together."""
    return sum(len(part.classes) for part in eraser.erased)


def shapes(eraser: Eraser, width: int) -> dict[str, list[int]]:
    """Returns the shapes of the eraser's tensors by name, for states of so many numbers."""
    count = classes(eraser)
    pairs = {PAIRS: [count, count]} if has_pairs(eraser) else {}
    return {
        SCALE: [2],
        LINEAR: [1 + width, 1 + width],
        CLASSES: [FOLDS * count, 1 + width],
        STEPS: [eraser.steps, FOLDS * count, 1 + 2 * eraser.frequencies],
        **pairs,
    }


def widths(manifest: TaskManifest) -> tuple[int, ...]:
    """Returns the numbers of each state that an eraser's steps see apart, in the order in which states lie.

    Nobody but the recommender knows the widths of several derived states, so they and all else are one then. The
    result is empty before a manifest that is being built has the eraser's tensors.
    """
    whole = next((spec.shape[0] - 1 for spec in manifest.tensors if spec.name == LINEAR), None)
    if whole is None:
        return ()
    known = {spec.name: math.prod(spec.shape) for spec in _private(manifest)}
    protects = manifest.plan.eraser.protects
    derived = [name for name in protects if name not in known]
    if len(derived) > 1:
        return (whole,)
    left = whole - sum(known.values())
    return tuple(known.get(name, left) for name in protects)


def continues(old: TaskManifest, new: TaskManifest) -> bool:
    """Returns True if the maps of a task, and the averages that they are fitted to, are a successor's as well.

    Both tasks have an eraser of the same attributes, states and frequencies, and both or neither have shifts. Settings
    of how much is moved and of how fast averages forget may differ.
    """
    if not (old.plan.HasField("eraser") and new.plan.HasField("eraser")):
        return False
    return _meaning(old) == _meaning(new)


def _meaning(manifest: TaskManifest) -> tuple[Eraser, list[TensorSpec]]:
    """Returns the eraser without the settings that change no number's meaning, and its private and own tensors."""
    eraser = Eraser.FromString(manifest.plan.eraser.SerializeToString())
    for name in ("length", "floor", "rate", "minimum"):
        eraser.ClearField(name)
    names = {*eraser.protects, *tensors(manifest.plan)}
    return eraser, [TensorSpec(name=spec.name, shape=spec.shape) for spec in manifest.tensors if spec.name in names]


def check(plan: Plan, states: Collection[str]) -> None:
    """Checks the eraser of a plan against the names of the states that it may erase from.

    Raises:
        ManifestError: the text says what is wrong.
    """
    if not plan.HasField("eraser"):
        return
    eraser = plan.eraser
    names = [part.name for part in matchings.labelled(plan)]
    require(len(set(names)) == len(names), "two adversaries, matchings or erased attributes have the same name")
    require(bool(eraser.erased), "eraser: no attribute is named to erase")
    for part in eraser.erased:
        where = f"erased {part.name!r}"
        require(bool(part.name) and bool(part.attribute), f"{where}: name and attribute must be given")
        require(len(part.classes) >= 2, f"{where}: fewer than two classes")
        require(len(set(part.classes)) == len(part.classes), f"{where}: a class is listed twice")
    known = ", ".join(sorted(states))
    protects = list(eraser.protects)
    require(bool(protects), f"eraser: protects is empty; the recommender has {known}")
    require(len(set(protects)) == len(protects), "eraser: protects names a state twice")
    unknown = [name for name in protects if name not in states]
    require(not unknown, f"eraser: protects unknown states {unknown}; the recommender has {known}")
    require(1 <= eraser.steps <= MAX_STEPS, f"eraser: steps must lie between 1 and {MAX_STEPS}")
    most = matchings.MAX_FREQUENCIES
    require(1 <= eraser.frequencies <= most, f"eraser: frequencies must lie between 1 and {most}")
    require(positive(eraser.length), "eraser: length must be positive")
    require(math.isfinite(eraser.floor) and eraser.floor >= 0, "eraser: floor must not be negative")
    require(positive(eraser.rate) and eraser.rate <= 1, "eraser: rate must lie above 0 and at most at 1")
    require(eraser.minimum >= 1, "eraser: minimum must be at least 1")


def check_tensors(manifest: TaskManifest) -> None:
    """Checks that a manifest has the tensors of its eraser. Call it after `check`.

    Raises:
        ManifestError: one is missing or has another shape, or the size of a state depends on the catalogue.
    """
    if not manifest.plan.HasField("eraser"):
        return
    eraser, specs = manifest.plan.eraser, {spec.name: spec for spec in manifest.tensors}
    require(LINEAR in specs and bool(specs[LINEAR].shape), f"the manifest lacks the tensor {LINEAR} of the eraser")
    width = specs[LINEAR].shape[0] - 1
    require(1 <= width <= matchings.MAX_WIDTH, f"{LINEAR}: states have 1 to {matchings.MAX_WIDTH:,} numbers")
    _check_private(manifest, width)
    for name, shape in shapes(eraser, width).items():
        require(name in specs, f"the manifest lacks the tensor {name} of the eraser")
        spec = specs[name]
        require(list(spec.shape) == shape, f"{name}: shape {list(spec.shape)} instead of {shape}")
        require(
            spec.scope == TENSOR_SCOPE_STATISTIC and spec.kind == TENSOR_KIND_DENSE and not spec.item_axis,
            f"{name}: the tensor of an eraser is a dense statistic without an item axis",
        )


def _check_private(manifest: TaskManifest, width: int) -> None:
    """Checks that all that devices show is erased from. Only the recommender knows the width of derived states."""
    specs, protects = _private(manifest), set(manifest.plan.eraser.protects)
    for name in manifest.derived_states:
        require(name in protects, f"eraser: the computed state {name} would be shown as it is")
    for spec in specs:
        require(spec.name in protects, f"eraser: the private tensor {spec.name} would be shown as it is")
        require(not spec.item_axis, f"eraser: the size of the private tensor {spec.name} depends on the catalogue")
    known = sum(math.prod(spec.shape) for spec in specs)
    derived = bool(manifest.derived_states)
    require(
        manifest.plan.local.steps == 1 or not derived,
        "an eraser of states that devices compute needs local.steps 1: each of several steps sees a part of the "
        "interactions",
    )
    require(
        known < width if derived else known == width,
        f"{LINEAR}: states of {width:,} numbers, and the eraser's private tensors have {known:,}",
    )


def _private(manifest: TaskManifest) -> list[TensorSpec]:
    return [spec for spec in manifest.tensors if spec.scope == TENSOR_SCOPE_PRIVATE]


def features(manifest: TaskManifest) -> tuple[str, ...]:
    """Returns the features that a task requires for its eraser; none if it has no eraser."""
    if not manifest.plan.HasField("eraser"):
        return ()
    of_private = (PRIVATE_FEATURE,) if _private(manifest) else ()
    of_shifts = (SHIFTS_FEATURE,) if manifest.plan.eraser.shifts else ()
    return (FEATURE, *of_private, *of_shifts)


def check_required(manifest: TaskManifest) -> None:
    """Checks that a task with an eraser keeps devices away that do not know it.

    Raises:
        ManifestError: it does not.
    """
    for feature in features(manifest):
        require(
            feature in manifest.required_features,
            f"the plan has an eraser, and the manifest does not require {feature!r}",
        )


def check_hidden(manifest: TaskManifest) -> None:
    """Checks that sums by class leave a device in secure sums alone.

    Raises:
        ManifestError: the coordinator would read them of each device.
    """
    require(
        not manifest.plan.HasField("eraser") or manifest.HasField("secure_sums"),
        "the plan has an eraser, whose sums tell a device's attribute, and the sums are not secure: add a policy of "
        "secure sums",
    )
