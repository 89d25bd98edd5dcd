"""Reads and checks manifests, for devices and for the coordinator alike."""

import math
import re
from collections.abc import Sequence

from google.protobuf.message import DecodeError

from fedau2.v1 import task_pb2, tensors_pb2
from fedau2.v1.task_pb2 import Graph, Resource, TaskManifest
from fedau2.v1.tensors_pb2 import TensorSpec
from fedau2.wire import erasers, item_axes, matchings, passes, plans, releases, signatures, sizes, staleness, weights
from fedau2.wire.checks import positive, require
from fedau2.wire.errors import ManifestError
from fedau2.wire.secure import policy

FORMAT = 2
"""The bundle format that this version reads and writes; see `TaskManifest.format`."""

MAX_FEATURES = 64
"""Most names in `TaskManifest.required_features`."""

MAX_ANCESTORS = 256
"""Most hashes in `TaskManifest.ancestors`."""

MAX_FIRST_ROUND = 2**53
"""Largest `TaskManifest.first_round`."""

MAX_ELEMENTS = 2**31
"""Most elements of one tensor."""

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
    require(bool(manifest.model), "the manifest names no model")
    require(manifest.items > 0, "the manifest's catalogue is empty")
    names = [spec.name for spec in manifest.tensors]
    require(len(set(names)) == len(names), "two tensors have the same name")
    for spec in manifest.tensors:
        _check_tensor(spec, manifest.items)
    require(all(graph.kind for graph in manifest.graphs), "a graph without a kind")
    sizes.check(manifest)
    derived = list(manifest.derived_states)
    require(all(derived) and len({*names, *derived}) == len(names) + len(derived), "a derived state's name is taken")
    require(manifest.draw in task_pb2.Draw.values(), f"unknown way to draw samples {manifest.draw}")
    require(len(manifest.signature) in (0, signatures.SIZE), "the manifest's signature is not one of 64 bytes")
    weights.check_required(manifest)
    matchings.check_required(manifest)
    erasers.check_required(manifest)
    _check_ancestors(manifest)
    releases.check(manifest)
    plans.check_plan(manifest.plan, {*derived, *(spec.name for spec in private(manifest))})
    matchings.check_tensors(manifest, erasers.tensors(manifest.plan))
    erasers.check_tensors(manifest)
    policy.check(manifest)
    staleness.check(manifest)
    passes.check(manifest)


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
    require(len(names) <= MAX_FEATURES, f"the manifest requires more than {MAX_FEATURES} features")
    for name in names:
        require(
            _FEATURE.fullmatch(name) is not None,
            f"the name of a required feature is malformed: {name[:64]!r} is not 1 to 64 lower-case letters, digits, "
            "dots and hyphens with a letter or digit at both ends",
        )
    require(len(set(names)) == len(names), "the manifest requires a feature twice")


def _check_ancestors(task: TaskManifest) -> None:
    hashes = list(task.ancestors)
    require(len(hashes) <= MAX_ANCESTORS, f"the manifest names more than {MAX_ANCESTORS} ancestors")
    require(all(len(digest) == 32 for digest in hashes), "an ancestor is not a SHA-256 of 32 bytes")
    require(len(set(hashes)) == len(hashes), "the manifest names an ancestor twice")
    require(task.first_round <= MAX_FIRST_ROUND, f"the first round {task.first_round} is above {MAX_FIRST_ROUND}")
    require(not task.first_round or bool(hashes), "the manifest has a first round, but names no ancestor")


def _check_tensor(spec: TensorSpec, items: int) -> None:
    require(0 < len(spec.name.encode()) <= 128, "a tensor's name is empty or longer than 128 bytes")
    require(1 <= len(spec.shape) <= 4 and all(spec.shape), f"{spec.name}: shape {list(spec.shape)}")
    require(math.prod(spec.shape) <= MAX_ELEMENTS, f"{spec.name}: more than {MAX_ELEMENTS} elements")
    require(spec.dtype == tensors_pb2.DTYPE_FLOAT32, f"{spec.name}: unknown dtype {spec.dtype}")
    require(spec.kind in tensors_pb2.TensorKind.values() and spec.kind != 0, f"{spec.name}: unknown kind {spec.kind}")
    require(
        spec.scope in tensors_pb2.TensorScope.values() and spec.scope != 0, f"{spec.name}: unknown scope {spec.scope}"
    )
    item_axes.check(spec, items)
    initializer = spec.initializer
    known = initializer.distribution in tensors_pb2.Distribution.values() and initializer.distribution != 0
    require(known, f"{spec.name}: unknown initial distribution {initializer.distribution}")
    zeros = initializer.distribution == tensors_pb2.DISTRIBUTION_ZEROS
    require(zeros or positive(initializer.scale), f"{spec.name}: initial scale {initializer.scale}")
