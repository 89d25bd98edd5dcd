"""The answers of a coordinator in the scenarios."""

from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration

from fedau2.v1 import device_pb2
from fedau2.v1.device_pb2 import Assignment, CheckInResponse, ModelVersion, Rejection
from fedau2.v1.task_pb2 import CheckpointEncoding, EncodedCheckpoint, RetryWindow, TaskManifest
from fedau2.wire import blobs

TASK = "5a5a5a5a5a5a5a5a"
ASSIGNMENT = bytes(range(100, 116))
ROUND = 4


def window(earliest: int = 60, latest: int = 90) -> RetryWindow:
    """Returns a retry window in seconds."""
    return RetryWindow(delay_min=Duration(seconds=earliest), delay_max=Duration(seconds=latest))


def model_of(served: Mapping[bytes, bytes]) -> ModelVersion:
    """Returns the model whose manifest is the first of the served blobs."""
    manifest = next(iter(served.values()))
    checkpoint = TaskManifest.FromString(manifest).checkpoint
    return ModelVersion(task_id=TASK, round=ROUND, manifest=blobs.resource(manifest), checkpoint=checkpoint)


def encoded(served: dict[bytes, bytes], encoding: CheckpointEncoding.ValueType, content: bytes) -> EncodedCheckpoint:
    """Serves the same checkpoint in another encoding, and returns its address."""
    resource = blobs.resource(content)
    served[resource.sha256] = content
    return EncodedCheckpoint(encoding=encoding, resource=resource)


def assigned(
    served: Mapping[bytes, bytes], bound: float = 4194304.0, other: EncodedCheckpoint | None = None
) -> CheckInResponse:
    """Returns an assignment; `other` is its checkpoint in another encoding."""
    place = Assignment(assignment_id=ASSIGNMENT, task_id=TASK, round=ROUND, bound=bound, encoded=other)
    place.manifest.CopyFrom(model_of(served).manifest)
    place.checkpoint.CopyFrom(model_of(served).checkpoint)
    place.lease.CopyFrom(Duration(seconds=600))
    place.next_check_in.CopyFrom(window(5, 10))
    return CheckInResponse(assignment=place)


def rejected(reason: device_pb2.RejectionReason.ValueType, served: Mapping[bytes, bytes] | None) -> CheckInResponse:
    """Returns a rejection, which names the model of the served blobs."""
    rejection = Rejection(reason=reason, retry=window())
    if served is not None:
        rejection.model.CopyFrom(model_of(served))
    return CheckInResponse(rejection=rejection)


COUNTED = device_pb2.UploadContributionResponse(next_check_in=window())
GIVEN_BACK = device_pb2.ReportFailureResponse(next_check_in=window(7, 8))
