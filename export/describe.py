"""Describes a bundle in words. This module needs no PyTorch."""

import math
from collections.abc import Iterator

from export.bundle import Bundle
from export.errors import VerificationError
from export.plan import planfile
from export.plan.message import to_document
from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.task_pb2 import Release, TaskManifest
from fedau2.v1.tensors_pb2 import Distribution, TensorKind, TensorScope, TensorSpec
from fedau2.wire import blobs, contributions, manifest, releases
from fedau2.wire.errors import BlobError


def describe(bundle: Bundle) -> str:
    """Returns the text that `fedau2-export inspect` prints: model, items, tensors, sizes, blobs and plan.

    Raises:
        VerificationError: the catalogue cannot be read.
    """
    task = bundle.manifest
    try:
        items = blobs.catalogue(bundle.blob(task.catalogue))
    except BlobError as error:
        raise VerificationError(str(error)) from error
    lines = [
        f"model    {task.model}, bundle format {task.format}",
        *([f"requires {', '.join(task.required_features)}"] if task.required_features else []),
        *([_sums(task.secure_sums)] if task.HasField("secure_sums") else []),
        f"signed   {'a signature is there, not checked' if task.signature else 'no'}",
        *([f"release  {release(task.release)}"] if task.HasField("release") else []),
        *([f"goes on  from round {task.first_round} of {len(task.ancestors)} ancestors"] if task.ancestors else []),
        f"items    {task.items}: {', '.join(items[:3])}{', ...' if len(items) > 3 else ''}",
        "",
        *_tensors(task),
        "",
        *_sizes(task),
        "",
        *_blobs(task),
        "",
        "plan, as a plan file",
    ]
    return "\n".join([*map(_printable, lines), plan_yaml(task)])


def release(signed: Release) -> str:
    """Says for whom, in which order and how long a bundle is to be used."""
    return f"for {signed.population!r}, sequence number {signed.sequence}, {releases.end(signed)}"


def _sums(policy: SecureSums) -> str:
    width = f"{policy.value_bits} bits modulo 2^{policy.modulus_bits}"
    return f"sums     of at least {policy.minimum} contributions, {width}, rows from {policy.row_threshold} on"


def _printable(line: str) -> str:
    """Escapes control characters, which a publisher's names could send to the terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)


def plan_yaml(task: TaskManifest) -> str:
    """Returns a task's plan as a plan file; reading it gives the same plan for a recommender of the usual widths."""
    return planfile.dump(to_document(task.model, task.plan)).rstrip("\n")


def _tensors(task: TaskManifest) -> Iterator[str]:
    width = max((len(spec.name) for spec in task.tensors), default=0)
    for spec in task.tensors:
        shape = " x ".join(map(str, spec.shape))
        kind, scope = TensorKind.Name(spec.kind), TensorScope.Name(spec.scope)
        yield f"tensor   {spec.name:{width}}  {shape:>12}  {_short(kind):5}  {_short(scope):9}  {_initializer(spec)}"


def _initializer(spec: TensorSpec) -> str:
    name = _short(Distribution.Name(spec.initializer.distribution))
    return name if name == "zeros" else f"{name} {spec.initializer.scale:.4g}"


def _sizes(task: TaskManifest) -> Iterator[str]:
    for scope in sorted({spec.scope for spec in task.tensors}):
        count = sum(math.prod(spec.shape) for spec in task.tensors if spec.scope == scope)
        yield f"size     {_short(TensorScope.Name(scope)):9} {count:>13,} parameters"
    yield f"size     upload    {contributions.largest(manifest.shared(task).values()):>13,} bytes at most"


def _blobs(task: TaskManifest) -> Iterator[str]:
    named = [("catalogue", task.catalogue), ("checkpoint", task.checkpoint)]
    named += [(manifest.graph_kind(graph), graph.resource) for graph in task.graphs]
    for name, resource in named:
        yield f"blob     {name:10} {resource.size:>12,} bytes  {resource.sha256.hex()}"


def _short(enum_value: str) -> str:
    return enum_value.rpartition("_")[2].lower()
