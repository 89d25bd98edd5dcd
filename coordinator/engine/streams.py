"""Reads and checks the streams that operators and devices send: bundles and contributions."""

from collections.abc import AsyncIterator, Mapping

import numpy as np

from coordinator.aggregation import choice
from coordinator.errors import (
    InvalidBundleError,
    InvalidContributionError,
    InvalidRequestError,
    TooLargeError,
)
from coordinator.model.admission import VersionRange
from coordinator.model.task import Bundle, Contribution, TaskSpec
from fedau2.v1.admin_pb2 import CreateTaskRequest, ReplaceTaskHeader, ReplaceTaskRequest
from fedau2.v1.device_pb2 import UploadContributionRequest, UploadHeader, UploadPartRequest
from fedau2.v1.task_pb2 import Resource, TaskManifest
from fedau2.wire import blobs, encodings, features, manifest, plans
from fedau2.wire.errors import BlobError, ContributionError, WireError

Parts = tuple[TaskManifest, dict[bytes, bytes]]
"""A checked manifest, and the blobs that it names, by SHA-256."""

PART = 2**20
"""Most bytes of a part of an upload."""

_Requests = CreateTaskRequest | ReplaceTaskRequest


async def upload_header(requests: AsyncIterator[UploadContributionRequest]) -> UploadHeader:
    """Reads the first message of an upload.

    Raises:
        InvalidRequestError: it is not a header, or its sha256 does not have 32 bytes.
    """
    request = await anext(requests, None)
    if request is None or request.WhichOneof("part") != "header":
        raise InvalidRequestError("an upload begins with a header")
    return _checked(request.header)


def part_header(request: UploadPartRequest) -> UploadHeader:
    """Checks a part of an upload, and returns its header.

    Raises:
        InvalidRequestError: its sha256 does not have 32 bytes, or it has no data, or more than `PART` bytes.
    """
    if not 0 < len(request.data) <= PART:
        raise InvalidRequestError(f"a part of an upload has 1 to {PART} bytes, not {len(request.data)}")
    return _checked(request.header)


def _checked(header: UploadHeader) -> UploadHeader:
    if len(header.sha256) != 32:
        raise InvalidRequestError("the header's sha256 does not have 32 bytes")
    return header


async def contribution(
    requests: AsyncIterator[UploadContributionRequest], assembler: blobs.Assembler, spec: TaskSpec
) -> Contribution | None:
    """Reads the rest of an upload into an assembler. Adding the contribution that it returns cannot fail.

    Returns:
        The contribution; None if the requests ended before it was whole.

    Raises:
        TooLargeError: the declared size is larger than the task's tensors can need; no byte was read.
        InvalidContributionError: it differs from the header or does not fit the task.
    """
    size = assembler.expected.size
    if size > spec.largest:
        raise TooLargeError(f"{size} bytes declared; a contribution to this task has at most {spec.largest}")
    try:
        # Nothing is read beyond the declared size, not even the end of the stream: that saves a third of most reads.
        while not assembler.whole and (request := await anext(requests, None)) is not None:
            if request.WhichOneof("part") != "data":
                raise InvalidRequestError("after the header an upload has data only")
            assembler.add(request.data)
        if not assembler.whole:
            return None
        data = assembler.finish()
        return Contribution(data, assembler.expected.sha256, spec.decode(data))
    except (BlobError, ContributionError) as error:
        raise InvalidContributionError(f"the contribution was refused: {error}") from error


async def successor(requests: AsyncIterator[ReplaceTaskRequest]) -> tuple[ReplaceTaskHeader, Parts]:
    """Reads a whole successor and checks it.

    Raises:
        InvalidRequestError: the stream does not begin with a header.
        InvalidBundleError: the bundle cannot be run.
    """
    request = await anext(requests, None)
    if request is None or request.WhichOneof("part") != "header":
        raise InvalidRequestError("ReplaceTask begins with a header")
    return request.header, await _parts(requests, request.header.manifest)


async def bundle(requests: AsyncIterator[CreateTaskRequest]) -> Bundle:
    """Reads a whole bundle and checks it.

    Raises:
        InvalidRequestError: the stream does not begin with a complete header.
        InvalidBundleError: the bundle cannot be run.
    """
    request = await anext(requests, None)
    if request is None or request.WhichOneof("part") != "header":
        raise InvalidRequestError("CreateTask begins with a header")
    header = request.header
    population(header.population)
    VersionRange.of(header.versions)
    if header.checkpoints not in encodings.NAMES.values():
        raise InvalidRequestError(f"checkpoint encoding {header.checkpoints} is not known: update the coordinator")
    if header.rounds < 1:
        raise InvalidRequestError("a task has at least one round")
    try:
        plans.check_closing(header.closing)
    except WireError as error:
        raise InvalidBundleError(f"the task was refused: {error}") from error
    task, data = await _parts(requests, header.manifest)
    spec = TaskSpec.of(task, header.closing)
    if why := choice.why_not(task, header.closing, spec.largest):
        raise InvalidBundleError(f"the task was refused: {why}")
    return Bundle(header, spec, data)


async def _parts(requests: AsyncIterator[_Requests], serialised: bytes) -> Parts:
    """Reads the blobs that a manifest names, and checks that they fit each other."""
    try:
        task = manifest.parse(serialised)
        features.expect_known(task)
        data = await _blobs(requests, {resource.sha256: resource for resource in manifest.blobs(task)})
        _check_content(task, data)
    except WireError as error:
        raise InvalidBundleError(f"the task was refused: {error}") from error
    return task, data


def population(name: str) -> None:
    """Returns if the name can be the name of a population.

    Raises:
        InvalidRequestError: it is empty, too long, or would not be printed as it is.
    """
    if not 0 < len(name.encode()) <= 128:
        raise InvalidRequestError("a population's name has 1 to 128 bytes")
    if not name.isprintable():
        raise InvalidRequestError("a population's name has printable characters only")


async def _blobs(requests: AsyncIterator[_Requests], expected: Mapping[bytes, Resource]) -> dict[bytes, bytes]:
    assemblers = {sha256: blobs.Assembler(resource) for sha256, resource in expected.items()}
    seen = set()
    async for request in requests:
        part = request.blob
        if request.WhichOneof("part") != "blob" or part.sha256 not in assemblers:
            raise BlobError(f"the manifest names no blob {part.sha256.hex()[:12]}")
        assemblers[part.sha256].add(part.data)
        seen.add(part.sha256)
    if missing := next((sha256 for sha256 in expected if sha256 not in seen), None):
        raise BlobError(f"blob {missing.hex()[:12]} of the manifest is missing")
    return {sha256: assembler.finish() for sha256, assembler in assemblers.items()}


def _check_content(task: TaskManifest, data: Mapping[bytes, bytes]) -> None:
    items = blobs.catalogue(data[task.catalogue.sha256])
    if len(items) != task.items:
        raise BlobError(f"the catalogue lists {len(items)} items; the manifest says {task.items}")
    checkpoint = blobs.unpack(data[task.checkpoint.sha256])
    expected = {name: tuple(spec.shape) for name, spec in manifest.shared(task).items()}
    if different := checkpoint.keys() ^ expected.keys():
        raise BlobError(f"the checkpoint and the manifest disagree about the tensors {sorted(different)}")
    for name, tensor in checkpoint.items():
        if tensor.shape != expected[name] or tensor.dtype != np.float32:
            raise BlobError(f"{name}: the checkpoint has {tensor.dtype} {tensor.shape} instead of {expected[name]}")
        if not np.isfinite(tensor).all():
            raise BlobError(f"{name}: the checkpoint has a value that is not finite")
