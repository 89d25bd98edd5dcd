"""The names of a training graph's inputs and outputs; `export` builds such graphs and the `onnx` engine runs them.

`step.onnx` is one local step of one client. These are all inputs; a graph declares those that it needs:

* every shared and adversary tensor under its own name, float32; of a table the rows that the step touches, (m, ...)
* every private tensor under its own name, with an axis of clients of length 1
* `sample.slot` int64 (n,): the number of each sample's row among the m; `sample.label`, `sample.weight` float32 (n,)
* `sample.first` int64 (m,): a sample of each of the m rows; `sample.again` int64 (e,): all other samples, which are
  few, so that adding up only them is fast
* `sample.row` int64 (m,): the catalogue row of each of the m; `sample.noise` float32 (1, w)
* `plan.round` int64 (), and the recommender's own parameters: `parameter.<name>` float32 ()
* for each adversary `label.<name>` int64 (1,), -1 where it is not known, and `noise.<name>` float32 (1, 2, classes)
* for each adversary `plan.<name>.epsilon` float32 (), `plan.<name>.pretrain_rounds` int64 (),
  `plan.<name>.class_weights` float32 (classes,) and `plan.<name>.prior` float32 (classes,)
* for each matching `row.<name>` int64 (1,): the class number, or the number of classes where it is not known, or -1
  where the client takes no part in this run
* for each matching `matching.<name>.weight` float32 (), and the parts of `client_sdk.matching.Published`:
  `matching.<name>.centre`, `.map`, `.witness`, `.offset`, `.live` and `.inverse`
* for the eraser `eraser.places` float32 (1, folds * classes), see `client_sdk.erasing.places`, and the parts of
  `client_sdk.erasing.Maps`: `maps.matrix`, `.offset`, `.scale`, `.frequencies`, `.witness`, `.shift`, `.live` and
  `.inverse`; if the plan has shifts, `.shifts` and `.shifted` too

The outputs are:

* `gradient.<tensor>` for every shared, adversary and private tensor, shaped as the input, and for every statistic the
  client's contribution to it, shaped as the tensor
* `loss` float32 (1,)
* for each adversary `triggered.<name>` bool (1,) and `margin.<name>` float32 (1,)

A client whose label is not known has gradients of 0 for the adversary's tensors.

Recommender, heads, triggers and objectives decide which nodes a graph has. Numbers are inputs, so that one graph serves
every plan of the same structure.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from client_sdk import erasing
from client_sdk.matching import Published
from client_sdk.plan import AdversaryPlan, MatchingPlan
from fedau2.v1.task_pb2 import TaskManifest

SLOT, LABEL, WEIGHT = "sample.slot", "sample.label", "sample.weight"
FIRST, AGAIN = "sample.first", "sample.again"
ROW, NOISE, ROUND = "sample.row", "sample.noise", "plan.round"
ADVERSARY = ("epsilon", "pretrain_rounds", "class_weights", "prior")
"""Fields of `AdversaryPlan` for which the graph has an input."""

PLACES = "eraser.places"
"""The input for the rows of an eraser's sums that a client adds to."""

FLOOR = "maps.noise"
"""The input of recommend.onnx for the user's floor of noise, float32 (width,)."""

GRADIENT, LOSS = "gradient.", "loss"

Number = NDArray[np.float32] | NDArray[np.int64]


def label_of(adversary: str) -> str:
    """The input for a client's class number."""
    return f"label.{adversary}"


def noise_of(adversary: str) -> str:
    """The input for the head's noise."""
    return f"noise.{adversary}"


def triggered_of(adversary: str) -> str:
    """The output that says whether the trigger fired."""
    return f"triggered.{adversary}"


def margin_of(adversary: str) -> str:
    """The output for the true class's logit less the best other's."""
    return f"margin.{adversary}"


def parameter(name: str) -> str:
    """The input for one of the recommender's own parameters."""
    return f"parameter.{name}"


def number_of(adversary: str, field: str) -> str:
    """The input for a number of an adversary, one of `ADVERSARY`."""
    return f"plan.{adversary}.{field}"


def row_of(matching: str) -> str:
    """The input for a client's row of a matching's statistics."""
    return f"row.{matching}"


def part_of(matching: str, field: str) -> str:
    """The input for what is known of a matching: its `weight`, or a field of `Published`."""
    return f"matching.{matching}.{field}"


def map_of(field: str) -> str:
    """The input for what is known of an eraser: a field of `erasing.Maps`."""
    return f"maps.{field}"


def outputs(task: TaskManifest) -> tuple[str, ...]:
    """Names of all outputs of a task's graph."""
    gradients = (GRADIENT + spec.name for spec in task.tensors)
    reports = (name(adversary.name) for adversary in task.plan.adversaries for name in (triggered_of, margin_of))
    return LOSS, *gradients, *reports


def numbers(parameters: Mapping[str, float], adversaries: Iterable[AdversaryPlan]) -> dict[str, Number]:
    """The plan's numbers, as inputs."""
    inputs: dict[str, Number] = {parameter(name): np.array(value, np.float32) for name, value in parameters.items()}
    for adversary in adversaries:
        inputs |= {number_of(adversary.name, field): value for field, value in _numbers(adversary).items()}
    return inputs


def matched(plans: Sequence[MatchingPlan], tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, Number]:
    """Returns the published parts of matchings as inputs."""
    inputs: dict[str, Number] = {}
    for plan in plans:
        fields = vars(Published.of(plan, tensors)) | {"weight": plan.weight}
        inputs |= {part_of(plan.name, field): np.array(value, np.float32) for field, value in fields.items()}
    return inputs


def mapped(maps: erasing.Maps) -> dict[str, Number]:
    """Returns the published maps as inputs."""
    fields = {field: value for field, value in vars(maps).items() if field != "deviation"}
    return {map_of(field): np.asarray(value, np.float32) for field, value in fields.items()}


def _numbers(adversary: AdversaryPlan) -> dict[str, Number]:
    ones = [1.0] * adversary.classes
    return {
        "epsilon": np.array(adversary.epsilon, np.float32),
        "pretrain_rounds": np.array(min(adversary.pretrain_rounds, 2**63 - 1), np.int64),
        "class_weights": np.array(adversary.class_weights or ones, np.float32),
        "prior": np.array(adversary.prior or ones, np.float32),
    }
