"""The scenarios of the transcripts: a device, and a coordinator's answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.duration_pb2 import Duration

from fedau2.v1 import device_pb2
from fedau2.v1.device_pb2 import Assignment, CheckInResponse, ModelVersion, Rejection
from fedau2.v1.task_pb2 import RetryWindow, TaskManifest
from fedau2.wire import blobs
from fedau2.wire.status import Status
from scripts.conformance import tasks
from scripts.conformance.script import Answer, Refusal, Silence

BUNDLE = "fedvae"
TASK = "5a5a5a5a5a5a5a5a"
ASSIGNMENT = bytes(range(100, 116))
ROUND = 4
_LARGE = 300_000  # more than one chunk


@dataclass(frozen=True)
class Device:
    """A device before the session.

    Attributes:
        items: recorded ones.
        attributes: known ones.
        without_place: it could not use a place.
        wanted: it wants a newest model.
        cached: its store has all blobs that are served.
        contributed: the last round of the task with a contribution that counted.
        staged: bytes of a contribution, all 0, whose upload was not answered.
    """

    items: Sequence[str] = tuple(tasks.ITEMS[1:20:3])
    attributes: Mapping[str, str] = field(default_factory=dict)
    without_place: bool = False
    wanted: bool = False
    cached: bool = False
    contributed: int | None = None
    staged: int = 0


@dataclass(frozen=True)
class Scenario:
    """A device and a coordinator's answers, as for `Scripted`."""

    name: str
    device: Device
    answers: Sequence[Answer]
    served: dict[bytes, bytes]
    pieces: Sequence[int] = ()


def all_of_them() -> Iterator[Scenario]:
    """Yields the scenarios."""
    yield from _uploads()
    yield from _repeated_uploads()
    yield from _rejections()
    yield from _places_given_back()


def _window(earliest: int = 60, latest: int = 90) -> RetryWindow:
    return RetryWindow(delay_min=Duration(seconds=earliest), delay_max=Duration(seconds=latest))


def _model(served: Mapping[bytes, bytes]) -> ModelVersion:
    manifest = next(iter(served.values()))
    checkpoint = TaskManifest.FromString(manifest).checkpoint
    return ModelVersion(task_id=TASK, round=ROUND, manifest=blobs.resource(manifest), checkpoint=checkpoint)


def _assigned(served: Mapping[bytes, bytes], bound: float = 4194304.0) -> CheckInResponse:
    place = Assignment(assignment_id=ASSIGNMENT, task_id=TASK, round=ROUND, bound=bound)
    place.manifest.CopyFrom(_model(served).manifest)
    place.checkpoint.CopyFrom(_model(served).checkpoint)
    place.lease.CopyFrom(Duration(seconds=600))
    place.next_check_in.CopyFrom(_window(5, 10))
    return CheckInResponse(assignment=place)


def _rejected(reason: device_pb2.RejectionReason.ValueType, served: Mapping[bytes, bytes] | None) -> CheckInResponse:
    rejection = Rejection(reason=reason, retry=_window())
    if served is not None:
        rejection.model.CopyFrom(_model(served))
    return CheckInResponse(rejection=rejection)


_COUNTED = device_pb2.UploadContributionResponse(next_check_in=_window())
_GIVEN_BACK = device_pb2.ReportFailureResponse(next_check_in=_window(7, 8))


def _uploads() -> Iterator[Scenario]:
    served = tasks.read(BUNDLE).served()
    place, user = _assigned(served), Device(attributes={"gender": "F"})
    yield Scenario("a contribution is counted", user, [place, _COUNTED], served)
    yield Scenario("the device has all blobs", Device(cached=True), [place, _COUNTED], served)
    yield Scenario("a transfer breaks off and goes on", user, [place, _COUNTED], served, [9, 9, 1, 1, 1, 1])
    for status in (
        *(Status.ABORTED, Status.ALREADY_EXISTS, Status.FAILED_PRECONDITION, Status.INVALID_ARGUMENT),
        *(Status.NOT_FOUND, Status.RESOURCE_EXHAUSTED),
    ):
        answers: list[Answer] = [place, Refusal(status, _window())]
        yield Scenario(f"an upload is refused for good: {status.name}", Device(cached=True), answers, served)
    late: list[Answer] = [place, Refusal(Status.DEADLINE_EXCEEDED, _window())]
    yield Scenario("the lease is over", Device(cached=True), late, served)
    slow: list[Answer] = [place, Refusal(Status.DEADLINE_EXCEEDED)]
    yield Scenario("an upload times out, and stays staged", Device(cached=True), slow, served)
    yield Scenario("an upload is not answered, and stays staged", Device(cached=True), [place, Silence()], served)


def _repeated_uploads() -> Iterator[Scenario]:
    small, large = Device(staged=1000), Device(staged=_LARGE)
    held = device_pb2.UploadOffsetResponse(offset=blobs.CHUNK)
    too_many = device_pb2.UploadOffsetResponse(offset=_LARGE + 1)
    lost = Refusal(Status.OUT_OF_RANGE)
    yield Scenario("a small upload is made again whole", small, [_COUNTED], {})
    yield Scenario("it is refused", small, [Refusal(Status.ABORTED, _window())], {})
    yield Scenario("a large upload goes on", large, [held, _COUNTED], {})
    yield Scenario("what came is lost meanwhile", large, [held, lost, _COUNTED], {})
    yield Scenario("the coordinator does not know the question", large, [Silence(unknown=True), _COUNTED], {})
    yield Scenario("the question is refused", large, [Refusal(Status.NOT_FOUND), _COUNTED], {})
    yield Scenario("the question is not answered", large, [Silence()], {})
    yield Scenario("more is held than there is", large, [too_many, _COUNTED], {})


def _rejections() -> Iterator[Scenario]:
    served = tasks.read(BUNDLE).served()
    full = device_pb2.REJECTION_REASON_ROUND_FULL
    yield Scenario("the round is full", Device(), [_rejected(full, None)], {})
    yield Scenario("the newest model is wanted", Device(wanted=True), [_rejected(full, served)], served)
    yield Scenario("it is not wanted", Device(), [_rejected(full, served)], served)
    yield Scenario("it is not served any more", Device(wanted=True), [_rejected(full, served)], {})
    unfit = Device(items=(), without_place=True, wanted=True)
    no_place = _rejected(device_pb2.REJECTION_REASON_NO_PLACE_WANTED, served)
    yield Scenario("a device without data asks for no place", unfit, [no_place], served)
    yield Scenario("a check-in is not answered", Device(), [Silence()], {})
    yield Scenario("a check-in is refused", Device(), [Refusal(Status.RESOURCE_EXHAUSTED, _window())], {})


def _places_given_back() -> Iterator[Scenario]:
    served = tasks.read(BUNDLE).served()
    place = _assigned(served)
    yield Scenario("it contributed in this round", Device(contributed=ROUND), [place, _GIVEN_BACK], served)
    yield Scenario("it contributed in the round before", Device(contributed=ROUND - 1), [place, _COUNTED], served)
    yield Scenario("nothing that is recorded is listed", Device(items=("x",)), [place, _GIVEN_BACK], served)
    unknown = Device(attributes={"gender": "-"})
    yield Scenario("the task does not know the attribute's value", unknown, [place, _GIVEN_BACK], served)
    yield Scenario("the report is not answered", unknown, [place, Silence()], served)
    yield Scenario("the coordinator states no bound", Device(), [_assigned(served, 0), _GIVEN_BACK], served)
    featured = TaskManifest.FromString(next(iter(served.values())))
    featured.required_features.append("time-travel")
    manifest = featured.SerializeToString(deterministic=True)
    newer = {blobs.sha256(manifest): manifest}
    yield Scenario("the task requires a feature", Device(), [_assigned(newer), _GIVEN_BACK], newer)
    damaged = {**served, featured.checkpoint.sha256: bytes(featured.checkpoint.size)}
    yield Scenario("the checkpoint is damaged", Device(), [place, _GIVEN_BACK], damaged)
    yield Scenario("a blob is not served", Device(), [place, _GIVEN_BACK], dict([*served.items()][:1]))
