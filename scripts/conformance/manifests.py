"""Vectors of manifests: which ones a device refuses, and how."""

from collections.abc import Callable, Iterator

import numpy as np

from client_sdk.protocol import manifests
from fedau2.v1.task_pb2 import InteractionWeights, ServerStep, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_PRIVATE, ItemSpan, TensorSpec
from fedau2.wire import weights
from scripts.conformance import tasks
from scripts.conformance.arrays import Json, data
from scripts.conformance.refusals import error_of


def vectors() -> Iterator[Json]:
    """Yields manifests, and the name of the error that each is refused with, if it is."""
    task = tasks.read("fedncf").task
    changes: dict[str, Callable[[TaskManifest], object]] = {
        "as it is": lambda task: None,
        "a newer format": lambda task: setattr(task, "format", 3),
        "an older format": lambda task: setattr(task, "format", 1),
        "a feature that nobody has": lambda task: task.required_features.append("time-travel"),
        "a malformed feature": lambda task: task.required_features.append("Time travel"),
        "a feature twice": lambda task: task.required_features.extend(["x", "x"]),
        "no model": lambda task: task.ClearField("model"),
        "no items": lambda task: setattr(task, "items", 0),
        "a tensor twice": lambda task: task.tensors.append(task.tensors[0]),
        "a table of another length": lambda task: setattr(task, "items", 39),
        "an empty shape": lambda task: task.tensors[0].ClearField("shape"),
        "an unknown kind": lambda task: setattr(task.tensors[0], "kind", 9),
        "no catalogue": lambda task: task.ClearField("catalogue"),
        "a catalogue that is too large": lambda task: setattr(task.catalogue, "size", 1024 * 40 + 1),
        "a graph of a newer kind": lambda task: setattr(task.graphs[0], "kind", 77),
        "a graph without a kind": lambda task: task.graphs[0].ClearField("kind"),
        "a derived state that is a tensor": lambda task: task.derived_states.append(task.tensors[0].name),
        "an unknown draw": lambda task: setattr(task, "draw", 9),
        "no local update": lambda task: task.plan.ClearField("local"),
        "no steps": lambda task: setattr(task.plan.local, "steps", 0),
        "too many steps": lambda task: setattr(task.plan.local, "steps", 1001),
        "a learning rate that is not a number": lambda t: setattr(t.plan.local, "private_learning_rate", np.nan),
        "a parameter that is infinite": lambda task: task.plan.parameters.update({"x": np.inf}),
        "an adversary of an unknown head": lambda task: setattr(task.plan.adversaries[0], "head", 9),
        "an adversary that protects nothing": lambda task: task.plan.adversaries[0].ClearField("protects"),
        "an adversary of one class": lambda task: task.plan.adversaries[0].classes.pop(),
        "noise without a norm": lambda task: task.plan.adversaries[0].ClearField("clip_norm"),
        "no server step": lambda task: task.plan.ClearField("server"),
        "running medians": lambda task: task.plan.server.MergeFrom(ServerStep(clip_norm=8, clip_medians=4)),
        "running medians without a norm": lambda task: setattr(task.plan.server, "clip_medians", 4),
        "weights": lambda task: _weigh(task, view=0.1, purchase=3, lowest_rating=2),
        "weights without the feature": lambda task: task.plan.interactions.MergeFrom(InteractionWeights(view=1)),
        "weights of which none is above 0": lambda task: _weigh(task, lowest_rating=2),
        "a weight that is too large": lambda task: _weigh(task, like=1001),
        "a weight that is not a number": lambda task: _weigh(task, like=np.nan, view=1),
        "a rating that is too large": lambda task: _weigh(task, rating=1, full_rating=1e7),
        "ancestors": lambda task: _succeed(task, bytes(32), b"1" * 32),
        "an ancestor twice": lambda task: _succeed(task, bytes(32), bytes(32)),
        "an ancestor of 31 bytes": lambda task: _succeed(task, bytes(31)),
        "a first round without an ancestor": lambda task: _succeed(task),
        "an item axis": lambda task: _lie(_private(task), 1, (0, 1), (0, 3)),
        "spans without an item axis": lambda task: _lie(_private(task), 0, (0, 4)),
        "an item axis that the shape does not have": lambda task: _lie(_private(task), 2, (0, 4)),
        "spans of another length": lambda task: _lie(_private(task), 1, (1, 0)),
        "a span of both kinds": lambda task: _lie(_private(task), 1, (1, 4)),
        "a span of nothing": lambda task: _lie(_private(task), 1, (0, 4), (0, 0)),
        "a table whose items lie elsewhere": lambda task: _lie(task.tensors[0], 2, (0, 4)),
        "a release": lambda task: _release(task),
        "a release without a population": lambda task: _release(task, population=""),
        "a population of 129 bytes": lambda task: _release(task, population="\u00fc" * 64 + "x"),
        "the sequence number 0": lambda task: _release(task, sequence=0),
        "the sequence number 2^53": lambda task: _release(task, sequence=2**53),
        "no time of issue": lambda task: _release(task, issued=0),
        "an end that is no time": lambda task: _release(task, expires=2**53),
        "an end at the issue": lambda task: _release(task, expires=7),
        "a signature of 63 bytes": lambda task: setattr(task, "signature", bytes(63)),
    }
    for name, change in changes.items():
        changed = TaskManifest()
        changed.CopyFrom(task)
        change(changed)
        content = changed.SerializeToString(deterministic=True)
        yield {"name": name, "bytes": data(content), "error": error_of(manifests.parse, content)}
    yield {"name": "no manifest", "bytes": data(b"\xff"), "error": error_of(manifests.parse, b"\xff")}


def _release(
    task: TaskManifest, population: str = "films", sequence: int = 3, issued: int = 7, expires: int = 0
) -> None:
    task.release.population, task.release.sequence = population, sequence
    task.release.issued, task.release.expires = issued, expires


def _weigh(task: TaskManifest, **fields: float) -> None:
    task.required_features.append(weights.FEATURE)
    task.plan.interactions.MergeFrom(InteractionWeights(**fields))  # type: ignore[arg-type]


def _succeed(task: TaskManifest, *ancestors: bytes) -> None:
    task.ancestors.extend(ancestors)
    task.first_round = 7


def _private(task: TaskManifest) -> TensorSpec:
    return next(spec for spec in task.tensors if spec.scope == TENSOR_SCOPE_PRIVATE)


def _lie(spec: TensorSpec, axis: int, *spans: tuple[int, int]) -> None:
    spec.item_axis = axis
    spec.item_spans.extend(ItemSpan(per_item=per_item, others=others) for per_item, others in spans)
