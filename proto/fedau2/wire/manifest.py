"""Reads and checks manifests, for devices and for the coordinator alike."""

import math
import re
from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError

from fedau2.v1 import task_pb2, tensors_pb2
from fedau2.v1.task_pb2 import Adversary, ClosingRule, Graph, LocalUpdate, Optimizer, Plan, Resource, TaskManifest
from fedau2.v1.tensors_pb2 import TensorSpec
from fedau2.wire import signatures, sizes, weights
from fedau2.wire.errors import ManifestError

FORMAT = 2
"""The bundle format that this version reads and writes; see `TaskManifest.format`."""

MAX_FEATURES = 64
"""Most names in `TaskManifest.required_features`."""

MAX_STEPS = 1_000
"""Most local steps of one round."""

MAX_ELEMENTS = 2**31
"""Most elements of one tensor."""

MAX_PARAMETERS = 64
"""Most parameters of a recommender in a plan."""

MAX_CONTRIBUTIONS = 1_000_000
"""Largest `ClosingRule.maximum`."""

MAX_OVER_SELECTION = 100
"""The largest share of places beyond the goal."""


_FEATURE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?")


def parse(data: bytes) -> TaskManifest:
    """Reads and checks a serialised manifest.

    Raises:
        ManifestError: the text says what is wrong.
    """
    manifest = read(data)
    check(manifest)
    return manifest


def read(data: bytes) -> TaskManifest:
    """Reads a serialised manifest and checks only the fields that say who can understand the others.

    These are the format and the form of the required features. The caller compares the features with those that it
    knows, and then calls `check`.

    Raises:
        ManifestError: the text says what is wrong.
    """
    sizes.check_size("manifest", len(data), sizes.MANIFEST)
    try:
        manifest = TaskManifest.FromString(data)
    except DecodeError as error:
        raise ManifestError("not a TaskManifest message") from error
    _check_format(manifest)
    _check_features(manifest.required_features)
    return manifest


def check(manifest: TaskManifest) -> None:
    """Checks everything that can be checked without the blobs.

    Raises:
        ManifestError: the text says what is wrong.
    """
    _check_format(manifest)
    _check_features(manifest.required_features)
    _require(bool(manifest.model), "the manifest names no model")
    _require(manifest.items > 0, "the manifest's catalogue is empty")
    names = [spec.name for spec in manifest.tensors]
    _require(len(set(names)) == len(names), "two tensors have the same name")
    for spec in manifest.tensors:
        _check_tensor(spec, manifest.items)
    _require(all(graph.kind for graph in manifest.graphs), "a graph without a kind")
    sizes.check(manifest)
    derived = list(manifest.derived_states)
    _require(all(derived) and len({*names, *derived}) == len(names) + len(derived), "a derived state's name is taken")
    _require(manifest.draw in task_pb2.Draw.values(), f"unknown way to draw samples {manifest.draw}")
    _require(len(manifest.signature) in (0, signatures.SIZE), "the manifest's signature is not one of 64 bytes")
    weights.check_required(manifest)
    check_plan(manifest.plan, {*derived, *(spec.name for spec in private(manifest))})


def shared(manifest: TaskManifest) -> dict[str, TensorSpec]:
    """Returns the tensors that the checkpoint holds and contributions carry, by name."""
    return {spec.name: spec for spec in manifest.tensors if spec.scope != tensors_pb2.TENSOR_SCOPE_PRIVATE}


def private(manifest: TaskManifest) -> list[TensorSpec]:
    """Returns the tensors that stay on the device, in manifest order."""
    return [spec for spec in manifest.tensors if spec.scope == tensors_pb2.TENSOR_SCOPE_PRIVATE]


def known_graphs(manifest: TaskManifest) -> list[Graph]:
    """Returns the graphs of kinds that this version runs; a newer bundle may bring others."""
    return [graph for graph in manifest.graphs if graph.kind in task_pb2.GraphKind.values()]


def graph_kind(graph: Graph) -> str:
    """Returns the kind of a graph in a word."""
    known = graph.kind in task_pb2.GraphKind.values()
    return task_pb2.GraphKind.Name(graph.kind).removeprefix("GRAPH_KIND_").lower() if known else f"kind {graph.kind}"


def adversary_prefix(name: str) -> str:
    """Returns the prefix of the names of an adversary's tensors."""
    return f"adversary.{name}."


def blobs(manifest: TaskManifest) -> list[Resource]:
    """Returns the address of every blob that the manifest names."""
    return [manifest.catalogue, manifest.checkpoint, *(graph.resource for graph in manifest.graphs)]


def check_plan(plan: Plan, states: set[str]) -> None:
    """Checks a plan against the names of the private tensors and derived states that it may protect.

    Raises:
        ManifestError: the text says what is wrong.
    """
    _check_local(plan.local)
    _check_parameters(plan.parameters)
    if plan.HasField("interactions"):
        weights.check(plan.interactions)
    _check_optimizer("server.shared", plan.server.shared)
    _require(len(plan.adversaries) <= 16, "more than 16 adversaries")
    names = [adversary.name for adversary in plan.adversaries]
    _require(len(set(names)) == len(names), "two adversaries have the same name")
    for adversary in plan.adversaries:
        _check_adversary(adversary, states)
    if plan.adversaries:
        _check_optimizer("server.adversary", plan.server.adversary)
    clip_norm = plan.server.clip_norm
    _require(
        math.isfinite(clip_norm) and clip_norm >= 0, f"server.clip_norm must be 0 or a positive number, not {clip_norm}"
    )


def check_closing(rule: ClosingRule) -> None:
    """Checks a closing rule.

    Raises:
        ManifestError: the text says what is wrong.
    """
    _require(
        1 <= rule.minimum <= rule.goal <= rule.maximum <= MAX_CONTRIBUTIONS,
        f"closing rule: 1 <= minimum <= goal <= maximum <= {MAX_CONTRIBUTIONS} does not hold",
    )
    _require(
        0 <= rule.over_selection <= MAX_OVER_SELECTION,
        f"closing rule: over_selection lies between 0 and {MAX_OVER_SELECTION}, not at {rule.over_selection:g}",
    )
    _require(rule.deadline.ToTimedelta().total_seconds() > 0, "closing rule: the deadline is not positive")
    _require(rule.lease.ToTimedelta().total_seconds() > 0, "closing rule: the lease is not positive")


def _check_format(manifest: TaskManifest) -> None:
    if manifest.format > FORMAT:
        raise ManifestError(
            f"bundle format {manifest.format} is newer than format {FORMAT}, the only one that this version runs: "
            "update fedau2"
        )
    if manifest.format < FORMAT:
        raise ManifestError(
            f"bundle format {manifest.format} is older than format {FORMAT}, the only one that this version runs: "
            "build the bundle again with this version's fedau2-export"
        )


def _check_features(names: Sequence[str]) -> None:
    _require(len(names) <= MAX_FEATURES, f"the manifest requires more than {MAX_FEATURES} features")
    for name in names:
        _require(
            _FEATURE.fullmatch(name) is not None,
            f"the name of a required feature is malformed: {name[:64]!r} is not 1 to 64 lower-case letters, digits, "
            "dots and hyphens with a letter or digit at both ends",
        )
    _require(len(set(names)) == len(names), "the manifest requires a feature twice")


def _check_tensor(spec: TensorSpec, items: int) -> None:
    _require(0 < len(spec.name.encode()) <= 128, "a tensor's name is empty or longer than 128 bytes")
    _require(1 <= len(spec.shape) <= 4 and all(spec.shape), f"{spec.name}: shape {list(spec.shape)}")
    _require(math.prod(spec.shape) <= MAX_ELEMENTS, f"{spec.name}: more than {MAX_ELEMENTS} elements")
    _require(spec.dtype == tensors_pb2.DTYPE_FLOAT32, f"{spec.name}: unknown dtype {spec.dtype}")
    _require(spec.kind in tensors_pb2.TensorKind.values() and spec.kind != 0, f"{spec.name}: unknown kind {spec.kind}")
    _require(
        spec.scope in tensors_pb2.TensorScope.values() and spec.scope != 0, f"{spec.name}: unknown scope {spec.scope}"
    )
    if spec.kind == tensors_pb2.TENSOR_KIND_TABLE:
        _require(spec.shape[0] == items, f"{spec.name}: {spec.shape[0]} rows for {items} items")
    initializer = spec.initializer
    known = initializer.distribution in tensors_pb2.Distribution.values() and initializer.distribution != 0
    _require(known, f"{spec.name}: unknown initial distribution {initializer.distribution}")
    zeros = initializer.distribution == tensors_pb2.DISTRIBUTION_ZEROS
    _require(zeros or _positive(initializer.scale), f"{spec.name}: initial scale {initializer.scale}")


def _check_local(local: LocalUpdate) -> None:
    _require(1 <= local.steps <= MAX_STEPS, f"local.steps must lie in [1, {MAX_STEPS}]")
    _require(local.negatives >= 1, "local.negatives must be at least 1")
    _require(local.chunk >= 1, "local.chunk must be at least 1")
    _require(_positive(local.private_learning_rate), "local.private_learning_rate must be positive")
    _require(math.isfinite(local.cover_rows) and local.cover_rows >= 0, "local.cover_rows must not be negative")
    _require(local.steps == 1 or _positive(local.shared_learning_rate), "local.shared_learning_rate must be positive")


def _check_parameters(parameters: Mapping[str, float]) -> None:
    """Checks what can be checked without knowing the recommender, which alone knows its parameters."""
    _require(len(parameters) <= MAX_PARAMETERS, f"the plan has more than {MAX_PARAMETERS} parameters")
    for name, value in parameters.items():
        _require(0 < len(name.encode()) <= 128, "a parameter's name is empty or longer than 128 bytes")
        _require(math.isfinite(value), f"parameter {name!r} must be a finite number, not {value}")


def _check_adversary(adversary: Adversary, states: set[str]) -> None:
    where = f"adversary {adversary.name!r}"
    _require(bool(adversary.name) and bool(adversary.attribute), f"{where}: name and attribute must be given")
    # Tensors are found by their prefix, which a dot would make ambiguous.
    _require("." not in adversary.name, f"{where}: a name must not contain a dot")
    _require(len(adversary.classes) >= 2, f"{where}: fewer than two classes")
    _require(len(set(adversary.classes)) == len(adversary.classes), f"{where}: a class is listed twice")
    unknown = set(adversary.protects) - states
    known = ", ".join(sorted(states))
    _require(bool(adversary.protects), f"{where}: protects is empty; the recommender has {known}")
    _require(not unknown, f"{where}: protects unknown states {sorted(unknown)}; the recommender has {known}")
    _require(
        adversary.head in task_pb2.Head.values() and adversary.head != 0, f"{where}: unknown head {adversary.head}"
    )
    _require(adversary.trigger in task_pb2.Trigger.values() and adversary.trigger != 0, f"{where}: unknown trigger")
    spread = adversary.head in (task_pb2.HEAD_DSVAE, task_pb2.HEAD_SCALAR)
    _require(not spread or _positive(adversary.variance), f"{where}: variance must be positive")
    _require(math.isfinite(adversary.epsilon) and adversary.epsilon >= 0, f"{where}: epsilon must not be negative")
    _require(adversary.objective in task_pb2.Objective.values(), f"{where}: unknown objective {adversary.objective}")
    for name in ("clip_norm", "noise_multiplier"):
        value = getattr(adversary, name)
        _require(math.isfinite(value) and value >= 0, f"{where}: {name} must be 0 or a positive number, not {value}")
    _require(
        not adversary.noise_multiplier or adversary.clip_norm > 0,
        f"{where}: noise_multiplier is in units of clip_norm, which must be positive with it",
    )
    for label, numbers in (("class weight", adversary.class_weights), ("prior", adversary.prior)):
        _require(not numbers or len(numbers) == len(adversary.classes), f"{where}: one {label} per class, or none")
        _require(all(map(_positive, numbers)), f"{where}: every {label} must be positive")


def _check_optimizer(where: str, optimizer: Optimizer) -> None:
    known = optimizer.kind in task_pb2.OptimizerKind.values() and optimizer.kind != 0
    _require(known, f"{where}: unknown optimizer {optimizer.kind}")
    _require(_positive(optimizer.learning_rate), f"{where}: learning_rate must be positive")
    if optimizer.kind == task_pb2.OPTIMIZER_KIND_ADAM:
        _require(0 <= optimizer.beta1 < 1 and 0 <= optimizer.beta2 < 1, f"{where}: betas must lie in [0, 1)")
        _require(_positive(optimizer.epsilon), f"{where}: epsilon must be positive")


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ManifestError(message)
