"""The scenarios of the transcripts."""

from collections.abc import Iterator

from fedau2.v1 import device_pb2
from fedau2.v1.task_pb2 import CHECKPOINT_ENCODING_FLOAT16, CHECKPOINT_ENCODING_INT8, TaskManifest
from fedau2.wire import blobs, encodings
from fedau2.wire.status import Status
from scripts.conformance import succeeding, tasks
from scripts.conformance.answers import COUNTED, GIVEN_BACK, ROUND, assigned, encoded, rejected, window
from scripts.conformance.devices import BUNDLE, Device, Scenario
from scripts.conformance.script import Answer, Refusal, Silence

_LARGE = 300_000  # more than one chunk
_UNKNOWN = 9  # an encoding of a newer protocol


def all_of_them() -> Iterator[Scenario]:
    """Yields the scenarios."""
    yield from _uploads()
    yield from _repeated_uploads()
    yield from _rejections()
    yield from _places_given_back()
    yield from _encoded()
    yield from succeeding.scenarios()


def _uploads() -> Iterator[Scenario]:
    served = tasks.read(BUNDLE).served()
    place, user = assigned(served), Device(attributes={"gender": "F"})
    yield Scenario("a contribution is counted", user, [place, COUNTED], served)
    yield Scenario("the device has all blobs", Device(cached=True), [place, COUNTED], served)
    yield Scenario("a transfer breaks off and goes on", user, [place, COUNTED], served, [9, 9, 1, 1, 1, 1])
    for status in (
        *(Status.ABORTED, Status.ALREADY_EXISTS, Status.FAILED_PRECONDITION, Status.INVALID_ARGUMENT),
        *(Status.NOT_FOUND, Status.RESOURCE_EXHAUSTED),
    ):
        answers: list[Answer] = [place, Refusal(status, window())]
        yield Scenario(f"an upload is refused for good: {status.name}", Device(cached=True), answers, served)
    late: list[Answer] = [place, Refusal(Status.DEADLINE_EXCEEDED, window())]
    yield Scenario("the lease is over", Device(cached=True), late, served)
    slow: list[Answer] = [place, Refusal(Status.DEADLINE_EXCEEDED)]
    yield Scenario("an upload times out, and stays staged", Device(cached=True), slow, served)
    yield Scenario("an upload is not answered, and stays staged", Device(cached=True), [place, Silence()], served)


def _repeated_uploads() -> Iterator[Scenario]:
    small, large = Device(staged=1000), Device(staged=_LARGE)
    held = device_pb2.UploadOffsetResponse(offset=blobs.CHUNK)
    too_many = device_pb2.UploadOffsetResponse(offset=_LARGE + 1)
    lost = Refusal(Status.OUT_OF_RANGE)
    yield Scenario("a small upload is made again whole", small, [COUNTED], {})
    yield Scenario("it is refused", small, [Refusal(Status.ABORTED, window())], {})
    yield Scenario("a large upload goes on", large, [held, COUNTED], {})
    yield Scenario("what came is lost meanwhile", large, [held, lost, COUNTED], {})
    yield Scenario("the coordinator does not know the question", large, [Silence(unknown=True), COUNTED], {})
    yield Scenario("the question is refused", large, [Refusal(Status.NOT_FOUND), COUNTED], {})
    yield Scenario("the question is not answered", large, [Silence()], {})
    yield Scenario("more is held than there is", large, [too_many, COUNTED], {})


def _rejections() -> Iterator[Scenario]:
    served = tasks.read(BUNDLE).served()
    full = device_pb2.REJECTION_REASON_ROUND_FULL
    yield Scenario("the round is full", Device(), [rejected(full, None)], {})
    yield Scenario("the newest model is wanted", Device(wanted=True), [rejected(full, served)], served)
    yield Scenario("it is not wanted", Device(), [rejected(full, served)], served)
    yield Scenario("it is not served any more", Device(wanted=True), [rejected(full, served)], {})
    unfit = Device(items=(), without_place=True, wanted=True)
    no_place = rejected(device_pb2.REJECTION_REASON_NO_PLACE_WANTED, served)
    yield Scenario("a device without data asks for no place", unfit, [no_place], served)
    yield Scenario("a check-in is not answered", Device(), [Silence()], {})
    yield Scenario("a check-in is refused", Device(), [Refusal(Status.RESOURCE_EXHAUSTED, window())], {})


def _places_given_back() -> Iterator[Scenario]:
    served = tasks.read(BUNDLE).served()
    place = assigned(served)
    yield Scenario("it contributed in this round", Device(contributed=ROUND), [place, GIVEN_BACK], served)
    yield Scenario("it contributed in the round before", Device(contributed=ROUND - 1), [place, COUNTED], served)
    yield Scenario("nothing that is recorded is listed", Device(items=("x",)), [place, GIVEN_BACK], served)
    unknown = Device(attributes={"gender": "-"})
    yield Scenario("the task does not know the attribute's value", unknown, [place, GIVEN_BACK], served)
    yield Scenario("the report is not answered", unknown, [place, Silence()], served)
    yield Scenario("the coordinator states no bound", Device(), [assigned(served, 0), GIVEN_BACK], served)
    featured = TaskManifest.FromString(next(iter(served.values())))
    featured.required_features.append("time-travel")
    manifest = featured.SerializeToString(deterministic=True)
    newer = {blobs.sha256(manifest): manifest}
    yield Scenario("the task requires a feature", Device(), [assigned(newer), GIVEN_BACK], newer)
    damaged = {**served, featured.checkpoint.sha256: bytes(featured.checkpoint.size)}
    yield Scenario("the checkpoint is damaged", Device(), [place, GIVEN_BACK], damaged)
    yield Scenario("a blob is not served", Device(), [place, GIVEN_BACK], dict([*served.items()][:1]))


def _encoded() -> Iterator[Scenario]:
    exact = tasks.read(BUNDLE).served()
    tensors = encodings.decode(exact[TaskManifest.FromString(next(iter(exact.values()))).checkpoint.sha256])
    for name, encoding in (("float16", CHECKPOINT_ENCODING_FLOAT16), ("int8", CHECKPOINT_ENCODING_INT8)):
        served = dict(exact)
        other = encoded(served, encoding, encodings.encode(tensors, encoding))
        yield Scenario(f"the checkpoint comes as {name}", Device(), [assigned(served, other=other), COUNTED], served)
    served = dict(exact)
    other = encoded(served, _UNKNOWN, b"\0" * 8)  # type: ignore[arg-type]
    answers: list[Answer] = [assigned(served, other=other), COUNTED]
    yield Scenario("the checkpoint comes in an encoding that is not known", Device(), answers, served)
    served = dict(exact)
    other = encoded(served, CHECKPOINT_ENCODING_INT8, blobs.pack({"x": tensors["encoder.bias"]}))
    damaged: list[Answer] = [assigned(served, other=other), GIVEN_BACK]
    yield Scenario("the encoded checkpoint holds another model", Device(), damaged, served)
