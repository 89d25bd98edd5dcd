"""Checks the eraser of a plan, for devices and for the coordinator alike, and names its tensors."""

import math
from collections.abc import Collection

from fedau2.v1.task_pb2 import Eraser, Plan, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_DENSE, TENSOR_SCOPE_STATISTIC
from fedau2.wire import matchings
from fedau2.wire.checks import positive, require

FEATURE = "eraser"
"""The feature that a task with an eraser requires: a device that does not know it would show what is to be erased."""

FOLDS = 5
"""Parts of the users that are compared with each other. Each device draws its own part once."""

MAX_STEPS = 64
"""Most kernel steps of an eraser."""

SCALE, LINEAR, CLASSES, STEPS = "eraser.scale", "eraser.linear", "eraser.classes", "eraser.steps"
"""Names of the tensors of an eraser. Devices contribute to all of them:

* `SCALE` (2,): users, and the sum of the logarithms of their states' sizes;
* `LINEAR` (1 + width, 1 + width): the sum of products of 1 and the state's numbers;
* `CLASSES` (folds * classes, 1 + width): users by fold and class, and the sums of their states;
* `STEPS` (steps, folds * classes, 1 + 2 * frequencies): the same of the features of each step.

The checkpoint has the moving average of `SCALE`. In `LINEAR` it has the linear map: 1 and the offset in the first row,
then a row for each number with its standard deviation after the map, and the matrix. In `STEPS` the first rows of each
step, one for each class, have the offset and the witness. All else is 0, so that no sum by class is published.
"""


def tensors(plan: Plan) -> tuple[str, ...]:
    """Returns the names of the tensors of a plan's eraser; none if it has no eraser."""
    return (SCALE, LINEAR, CLASSES, STEPS) if plan.HasField("eraser") else ()


def classes(eraser: Eraser) -> int:
    """Returns the number of classes of all erased attributes together."""
    return sum(len(part.classes) for part in eraser.erased)


def shapes(eraser: Eraser, width: int) -> dict[str, list[int]]:
    """Returns the shapes of the eraser's tensors by name, for states of so many numbers."""
    rows = FOLDS * classes(eraser)
    return {
        SCALE: [2],
        LINEAR: [1 + width, 1 + width],
        CLASSES: [rows, 1 + width],
        STEPS: [eraser.steps, rows, 1 + 2 * eraser.frequencies],
    }


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
    require(eraser.protects in states, f"eraser: protects {eraser.protects!r}; the recommender has {known}")
    require(1 <= eraser.steps <= MAX_STEPS, f"eraser: steps must lie between 1 and {MAX_STEPS}")
    most = matchings.MAX_FREQUENCIES
    require(1 <= eraser.frequencies <= most, f"eraser: frequencies must lie between 1 and {most}")
    require(positive(eraser.length), "eraser: length must be positive")
    require(math.isfinite(eraser.floor) and eraser.floor >= 0, "eraser: floor must not be negative")
    require(positive(eraser.rate) and eraser.rate <= 1, "eraser: rate must lie above 0 and at most at 1")
    require(eraser.minimum >= 1, "eraser: minimum must be at least 1")
    require(plan.local.steps == 1, "an eraser needs local.steps 1: its sums are of the state before the step")


def check_tensors(manifest: TaskManifest) -> None:
    """Checks that a manifest has the tensors of its eraser. Call it after `check`.

    Raises:
        ManifestError: one is missing or has another shape, or the eraser's state stays on devices.
    """
    if not manifest.plan.HasField("eraser"):
        return
    eraser, specs = manifest.plan.eraser, {spec.name: spec for spec in manifest.tensors}
    require(
        eraser.protects in manifest.derived_states,
        f"eraser: {eraser.protects} is a private tensor, and maps are applied only to states that devices compute anew",
    )
    require(LINEAR in specs and bool(specs[LINEAR].shape), f"the manifest lacks the tensor {LINEAR} of the eraser")
    width = specs[LINEAR].shape[0] - 1
    require(1 <= width <= matchings.MAX_WIDTH, f"{LINEAR}: states have 1 to {matchings.MAX_WIDTH:,} numbers")
    for name, shape in shapes(eraser, width).items():
        require(name in specs, f"the manifest lacks the tensor {name} of the eraser")
        spec = specs[name]
        require(list(spec.shape) == shape, f"{name}: shape {list(spec.shape)} instead of {shape}")
        require(
            spec.scope == TENSOR_SCOPE_STATISTIC and spec.kind == TENSOR_KIND_DENSE and not spec.item_axis,
            f"{name}: the tensor of an eraser is a dense statistic without an item axis",
        )


def check_required(manifest: TaskManifest) -> None:
    """Checks that a task with an eraser keeps devices away that do not know it.

    Raises:
        ManifestError: it does not.
    """
    require(
        not manifest.plan.HasField("eraser") or FEATURE in manifest.required_features,
        f"the plan has an eraser, and the manifest does not require {FEATURE!r}",
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
