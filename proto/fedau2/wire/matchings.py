"""Checks the matchings of a plan, for devices and for the coordinator alike, and names their tensors."""

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from fedau2.v1.task_pb2 import Adversary, Erased, Matching, Plan, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_DENSE, TENSOR_SCOPE_PRIVATE, TENSOR_SCOPE_STATISTIC, TensorSpec
from fedau2.wire.checks import positive, require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEATURE = "matching"
"""The feature that a task with matchings requires: a device that does not know it would train without them."""

MAX_MATCHINGS = 16
"""Most matchings of a plan."""

MAX_FREQUENCIES = 4_096
"""Most random frequencies of a matching."""

MAX_WIDTH = 1_024
"""Most numbers of the states of a matching, since their second moments are summed."""

_MOST_LOGARITHM = 30.0
"""Largest logarithm of a unit. Only noise on sums leads further."""


def means(name: str) -> str:
    """Returns the name of a matching's tensor of features by class, (classes + 1, 1 + width + 2 * frequencies)."""
    return f"matching.{name}.means"


def moments(name: str) -> str:
    """Returns the name of a matching's tensor of moments of everybody's states, (1 + width, 1 + width)."""
    return f"matching.{name}.moments"


def scale(name: str) -> str:
    """Returns the name of a matching's tensor (2,): users, and the sum of the logarithms of their states' sizes.

    A size is the root of the mean square of a state's numbers.
    """
    return f"matching.{name}.scale"


def unit(values: "NDArray[np.float32]") -> float:
    """Returns the unit in which a round sums moments, by a checkpoint's `scale`: the usual size of a state.

    In this unit, moments are about as large as the number of users beside them, so that a sum of integers keeps them.
    It is 0 where nothing is known of states yet; then nothing is summed of moments.
    """
    users, logarithms = map(float, values)
    return math.exp(min(max(logarithms / users, -_MOST_LOGARITHM), _MOST_LOGARITHM)) if users > 0 else 0.0


def labelled(plan: Plan) -> list[Adversary | Matching | Erased]:
    """Returns all parts of a plan that take a class of the client, by unique names.

    They are its adversaries, its matchings, and the attributes that its eraser erases.
    """
    return [*plan.adversaries, *plan.matchings, *plan.eraser.erased]


def check(plan: Plan, states: Collection[str]) -> None:
    """Checks the matchings of a plan against the names of the states that it may protect.

    Raises:
        ManifestError: the text says what is wrong.
    """
    if not plan.matchings:
        return
    require(len(plan.matchings) <= MAX_MATCHINGS, f"more than {MAX_MATCHINGS} matchings")
    names = [part.name for part in labelled(plan)]
    require(len(set(names)) == len(names), "two adversaries or matchings have the same name")
    require(plan.local.steps == 1, "matchings need local.steps 1: their statistics are of the state before the step")
    for matching in plan.matchings:
        _check(matching, states)


def check_tensors(manifest: TaskManifest, others: Collection[str] = ()) -> None:
    """Checks that a manifest has the statistics of its matchings, of the shapes that their names' functions say.

    Call it after `check`. States are moved in one way if they are private tensors and in another if they are derived,
    and no device does both.

    Args:
        manifest: to check.
        others: names of the statistics that belong to something else in the plan.

    Raises:
        ManifestError: one is missing or has another shape, or a statistic belongs to nothing in the plan.
    """
    specs = {spec.name: spec for spec in manifest.tensors}
    names = {kind(matching.name) for matching in manifest.plan.matchings for kind in (means, moments, scale)}
    statistics = {name for name, spec in specs.items() if spec.scope == TENSOR_SCOPE_STATISTIC}
    other = sorted(statistics - names - set(others))
    require(not other, f"the statistics {other} belong to no matching of the plan, nor to its eraser")
    for name in sorted(names):
        require(name in specs, f"the manifest lacks the tensor {name} of a matching")
        _check_statistic(specs[name])
    private = {name: spec for name, spec in specs.items() if spec.scope == TENSOR_SCOPE_PRIVATE}
    states = {state for matching in manifest.plan.matchings for state in matching.protects}
    require(
        states <= private.keys() or not states & private.keys(),
        "the matchings protect private tensors and derived states: let them protect only one of the two kinds",
    )
    for matching in manifest.plan.matchings:
        _check_shapes(matching, specs)
        _check_width(matching, specs[moments(matching.name)], private)


def check_required(manifest: TaskManifest) -> None:
    """Checks that a task with matchings keeps devices away that do not know them.

    Raises:
        ManifestError: it does not.
    """
    require(
        not manifest.plan.matchings or FEATURE in manifest.required_features,
        f"the plan has matchings, and the manifest does not require {FEATURE!r}",
    )


def check_hidden(manifest: TaskManifest) -> None:
    """Checks that statistics by class leave a device in secure sums alone.

    Raises:
        ManifestError: the coordinator would read them of each device.
    """
    require(
        not manifest.plan.matchings or manifest.HasField("secure_sums"),
        "the plan has matchings, whose statistics tell a device's attribute, and the sums are not secure: add a policy "
        "of secure sums",
    )


def _check(matching: Matching, states: Collection[str]) -> None:
    where = f"matching {matching.name!r}"
    require(bool(matching.name) and bool(matching.attribute), f"{where}: name and attribute must be given")
    require("." not in matching.name, f"{where}: a name must not contain a dot")
    require(len(matching.classes) >= 2, f"{where}: fewer than two classes")
    require(len(set(matching.classes)) == len(matching.classes), f"{where}: a class is listed twice")
    known, unknown = ", ".join(sorted(states)), sorted(set(matching.protects) - set(states))
    require(len(set(matching.protects)) == len(matching.protects), f"{where}: protects names a state twice")
    require(bool(matching.protects), f"{where}: protects is empty; the recommender has {known}")
    require(not unknown, f"{where}: protects unknown states {unknown}; the recommender has {known}")
    require(
        1 <= matching.frequencies <= MAX_FREQUENCIES, f"{where}: frequencies must lie between 1 and {MAX_FREQUENCIES}"
    )
    require(positive(matching.bandwidth), f"{where}: bandwidth must be positive")
    require(positive(matching.ridge), f"{where}: ridge must be positive")
    require(math.isfinite(matching.weight) and matching.weight >= 0, f"{where}: weight must not be negative")
    require(positive(matching.rate) and matching.rate <= 1, f"{where}: rate must lie above 0 and at most at 1")
    require(matching.minimum >= 1, f"{where}: minimum must be at least 1")


def _check_statistic(spec: TensorSpec) -> None:
    require(
        spec.scope == TENSOR_SCOPE_STATISTIC and spec.kind == TENSOR_KIND_DENSE and not spec.item_axis,
        f"{spec.name}: the tensor of a matching is a dense statistic without an item axis",
    )


def _check_shapes(matching: Matching, specs: Mapping[str, TensorSpec]) -> None:
    name = moments(matching.name)
    width = specs[name].shape[0] - 1
    require(1 <= width <= MAX_WIDTH, f"{name}: states have 1 to {MAX_WIDTH:,} numbers, not {width:,}")
    features = [len(matching.classes) + 1, 1 + width + 2 * matching.frequencies]
    shapes = {name: [1 + width, 1 + width], means(matching.name): features, scale(matching.name): [2]}
    for tensor, shape in shapes.items():
        require(list(specs[tensor].shape) == shape, f"{tensor}: shape {list(specs[tensor].shape)} instead of {shape}")


def _check_width(matching: Matching, spec: TensorSpec, private: Mapping[str, TensorSpec]) -> None:
    """Checks the width of private states. That of derived states is known to the recommender alone."""
    width, states = spec.shape[0] - 1, [state for state in matching.protects if state in private]
    expected = sum(math.prod(private[state].shape) for state in states)
    require(not states or width == expected, f"{spec.name}: states of {width:,} numbers instead of {expected:,}")
