"""Makes a contribution and uploads it."""

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from client_sdk import retry
from client_sdk.errors import CredentialsError, DivergedError, FedError, TrainingError, TransportError
from client_sdk.events import Event, Refused, Uploaded
from client_sdk.protocol import defences
from client_sdk.protocol.interfaces import Engine, Store
from client_sdk.protocol.lease import Lease
from client_sdk.protocol.values import Job, Staged, TrainingResult
from client_sdk.protocol.wishes import Call, Interrupted, Outcome, Result, Train, Upload, Wish, ask
from fedau2.v1.device_pb2 import (
    Assignment,
    UploadContributionResponse,
    UploadHeader,
    UploadOffsetRequest,
    UploadOffsetResponse,
)
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_TABLE, TENSOR_SCOPE_SHARED
from fedau2.wire import blobs, contributions, manifest, matchings
from fedau2.wire.contributions import Rows, Update
from fedau2.wire.status import Status, StatusError

if TYPE_CHECKING:
    from client_sdk.protocol.masking import Mask

Emit = Callable[[Event], None]

PIECE = 64 * 1024
"""Bytes of an upload that are sent at a time. A link that needs a minute for them counts as silent."""

# The coordinator's final words on an upload. For DEADLINE_EXCEEDED see _is_final.
_FINAL = {
    Status.ABORTED,
    Status.ALREADY_EXISTS,
    Status.FAILED_PRECONDITION,
    Status.INVALID_ARGUMENT,
    Status.NOT_FOUND,
    Status.RESOURCE_EXHAUSTED,
}


@contextmanager
def engine_failures() -> Iterator[None]:
    """Raises a `TrainingError` in place of an engine's exception, so that the place in the round is given back."""
    try:
        yield
    except (FedError, Interrupted):
        raise
    except Exception as error:
        raise TrainingError(f"the engine failed: {type(error).__name__}") from error


def train(
    engine: Engine, assignment: Assignment, job: Job, key: bytes, lease: Lease, mask: "Mask | None"
) -> Generator[Wish, Any, Staged]:
    """Trains for an assignment, and returns the contribution with the new private state.

    Args:
        engine: trains.
        assignment: of a place in a round.
        job: of training for it.
        key: the client's 16 secret bytes.
        lease: of the place.
        mask: hides the contribution to a secure sum, whose policy clips it; None: the sum is a plain one.

    Raises:
        TrainingError, DivergedError: training failed.
        TooSlow: the lease is over.
    """
    with engine_failures():
        training = engine.begin(job)
    for _ in range(training.steps):
        lease.left()
        yield from ask(Train(training), type(None))
    with engine_failures():
        result = training.finish()
    _check_finite(result)
    defended = defences.defend(job.manifest, result.contribution, job.client.key, assignment.round, key)
    if mask is None:
        data = contributions.encode(contributions.clip(defended or nothing(job.manifest), assignment.bound))
    else:
        data = mask.masked(defended)
    parts = matchings.labelled(job.manifest.plan)
    attributes = {part.attribute for part in parts if part.name in job.client.labels}
    place = (assignment.assignment_id, assignment.task_id, assignment.round)
    noise = job.manifest.secure_sums.noise_multiplier
    return Staged(*place, data, result.state, tuple(sorted(attributes)), masked=mask is not None, noise=noise)


def upload(
    store: Store, staged: Staged, emit: Emit, lease: Lease, again: bool = False
) -> Generator[Wish, Any, Outcome]:
    """Uploads a staged contribution, and promotes or discards its private state if the answer is final.

    Args:
        store: holds what is staged.
        staged: the contribution.
        emit: called with the event that the answer is.
        lease: of the place.
        again: an earlier upload may have broken off; this one goes on there.

    Raises:
        TooSlow: the lease was over before; nothing was sent.
    """
    data = staged.contribution
    header = UploadHeader(assignment_id=staged.assignment_id, size=len(data), sha256=blobs.sha256(data))
    if again and len(data) > PIECE:  # a single piece has come whole or not at all
        header.offset = yield from _offset(header)
    try:
        response = yield from _send(header, data, lease)
    except StatusError as error:
        if not _is_final(error):
            raise
        store.discard(staged.assignment_id)
        emit(Refused(staged.task_id, staged.round, str(error), error.status.name.lower()))
        return Outcome(Result.REFUSED, retry.window(error.retry), str(error))
    store.promote(staged.assignment_id)
    emit(Uploaded(staged.task_id, staged.round))
    return Outcome(Result.UPLOADED, retry.window(response.next_check_in))


def _offset(header: UploadHeader) -> Generator[Wish, Any, int]:
    """Asks where an upload goes on. Without a usable answer it begins at 0, and the coordinator answers the upload."""
    request = UploadOffsetRequest(assignment_id=header.assignment_id, sha256=header.sha256)
    try:
        response = yield from ask(Call(request), UploadOffsetResponse)
    except StatusError:
        return 0
    except TransportError as error:
        if error.temporary or isinstance(error, CredentialsError):
            raise
        return 0
    return response.offset if response.offset <= header.size else 0


def _send(header: UploadHeader, data: bytes, lease: Lease) -> Generator[Wish, Any, UploadContributionResponse]:
    """Uploads from an offset on; from the beginning if the coordinator has lost what was before it."""
    try:
        return (yield from ask(Upload(header, data, lease.left()), UploadContributionResponse))
    except StatusError as error:
        if error.status != Status.OUT_OF_RANGE or not header.offset:
            raise
    whole = UploadHeader(assignment_id=header.assignment_id, size=header.size, sha256=header.sha256)
    return (yield from ask(Upload(whole, data, lease.left()), UploadContributionResponse))


def nothing(task: TaskManifest) -> dict[str, Update]:
    """Returns the contribution of a device that has no tensor to carry: no coordinator takes one without tensors.

    In a pass this is a device that knows no attribute. It carries the recommender's smallest tensor, with which nothing
    is done then: no row of a table, and zeros for any other.
    """
    specs = (spec for spec in manifest.shared(task).values() if spec.scope == TENSOR_SCOPE_SHARED)
    smallest = min(specs, key=lambda spec: math.prod(spec.shape))
    if smallest.kind == TENSOR_KIND_TABLE:
        return {smallest.name: Rows(np.zeros(0, np.int64), np.zeros((0, *smallest.shape[1:]), np.float32))}
    return {smallest.name: np.zeros(tuple(smallest.shape), np.float32)}


def _check_finite(result: TrainingResult) -> None:
    """Keeps a diverged result from the sum and from the device's state, which would never recover."""
    values = [update.values if isinstance(update, Rows) else update for update in result.contribution.values()]
    for part in (result.state.values, result.state.first, result.state.second):
        values += part.values()
    if not all(np.isfinite(value).all() for value in values):
        raise DivergedError("training gave values that are not finite; nothing was kept or sent")


def _is_final(error: StatusError) -> bool:
    # A local timeout has the code of an expired lease, but only the coordinator adds a retry window.
    return error.status in _FINAL or (error.status == Status.DEADLINE_EXCEEDED and error.retry is not None)
