"""The session driven by hand: every way that it can go."""

from dataclasses import replace

import numpy as np
import pytest

from client_sdk import retry
from client_sdk.errors import (
    AttributeValueError,
    DamagedTaskError,
    DivergedError,
    DriverError,
    NoDataError,
    TransportError,
    UnsupportedTaskError,
)
from client_sdk.protocol.drivers import drive
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.wishes import Call, Fetch, Interrupted, Outcome, Result, Train, Upload
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.v1 import device_pb2, task_pb2
from fedau2.v1.device_pb2 import CheckInRequest, CheckInResponse, FailureReason, Rejection
from fedau2.v1.task_pb2 import Graph, RetryWindow
from fedau2.wire import blobs, contributions, manifest
from fedau2.wire.errors import BlobError
from fedau2.wire.status import Status, StatusError
from tests.client_sdk.sessions import answer, begin, end, is_check_in, is_failure, record, until

REASON_UNSUPPORTED = FailureReason.FAILURE_REASON_UNSUPPORTED


FINAL = [
    Status.ABORTED,
    Status.ALREADY_EXISTS,
    Status.FAILED_PRECONDITION,
    Status.INVALID_ARGUMENT,
    Status.NOT_FOUND,
    Status.RESOURCE_EXHAUSTED,
]


def test_a_round_goes_check_in_fetch_train_upload(busy, bundle, window):
    running = begin(busy)
    upload, wishes = until(Upload, running, bundle)
    assert wishes[0] == Call(CheckInRequest(population="films", client_version="1.2.3"))
    kinds = [type(wish) for wish in wishes]
    assert kinds == [Call] + [Fetch] * 6 + [Train] * 2 + [Upload]
    assert {wish.resource.sha256 for wish in wishes if isinstance(wish, Fetch)} == set(bundle.blobs)
    assert upload.header.assignment_id == bundle.assignment().assignment_id
    assert (upload.header.size, upload.header.sha256) == (len(upload.data), blobs.sha256(upload.data))
    contributions.Decoder(manifest.shared(bundle.manifest), 1e6)(upload.data)
    outcome = end(running.send, device_pb2.UploadContributionResponse(next_check_in=window))
    assert outcome == Outcome(Result.UPLOADED, retry.window(window))


def test_a_graph_of_a_kind_that_is_not_known_is_left_alone(busy, bundle):
    graph = Graph(kind=99, resource=blobs.resource(b"for a later SDK"))
    newer = bundle.with_manifest(graphs=[graph])
    _, wishes = until(Upload, begin(busy), newer)
    assert graph.resource not in [wish.resource for wish in wishes if isinstance(wish, Fetch)]


def test_private_state_is_staged_before_the_upload_and_promoted_by_the_acknowledgement(busy, bundle):
    running = begin(busy)
    upload, _ = until(Upload, running, bundle)
    staged = busy.staged()
    assert staged.contribution == upload.data
    assert busy.private("task") is None
    end(running.send, device_pb2.UploadContributionResponse())
    assert busy.staged() is None
    assert busy.private("task").pack() == staged.state.pack()
    started = initial_state(bundle.manifest, busy.task_key("task"))
    assert busy.private("task").steps.tolist() == [2]
    assert not np.array_equal(staged.state.values["user_gmf"], started.values["user_gmf"])


def test_another_task_of_the_same_manifest_gets_other_noise(busy, bundle, remote):
    # An operator creates a task again: what a device sends to both must not differ by gradients alone.
    changed = task_pb2.TaskManifest.FromString(bundle.manifest.SerializeToString())
    changed.plan.adversaries[0].clip_norm = changed.plan.adversaries[0].noise_multiplier = 1.0
    task = replace(bundle, manifest=changed).with_manifest()
    busy.set_attribute("gender", "F")
    sent = []
    for task_id in ("task", "the task again"):
        remote.bundle, remote.assignment = task, task.assignment(task_id=task_id)
        assert drive(begin(busy), remote).result is Result.UPLOADED
        (_, (_, data)) = remote.calls[-1]
        sent.append(contributions.Decoder(manifest.shared(task.manifest), 1e6)(data))
    first, second = sent
    for name, value in first.items():
        if name.startswith("adversary."):
            assert np.isclose(value, second[name]).mean() < 0.01


def test_nothing_that_is_drawn_recurs_in_another_task(busy, bundle, remote):
    # An operator of two tasks would recognise a device by its negatives, its noise or its first vectors.
    clients = []
    for task_id in ("task", "another task"):
        remote.bundle, remote.assignment = bundle, bundle.assignment(task_id=task_id)
        assert drive(begin(busy), remote).result is Result.UPLOADED
        (_, (_, data)) = remote.calls[-1]
        clients.append(contributions.Decoder(manifest.shared(bundle.manifest), 1e6)(data))
    states = [busy.private(task_id).values for task_id in ("task", "another task")]
    for name, value in states[0].items():
        assert not np.isclose(value, states[1][name]).any()
    rows = [sent["item_gmf"].indices for sent in clients]
    recorded = busy.interactions(bundle.manifest.catalogue)
    assert not np.array_equal(*(np.setdiff1d(part, recorded) for part in rows))


def test_the_next_round_starts_from_promoted_state_and_fetches_only_the_new_checkpoint(busy, bundle):
    for version in (bundle, bundle.with_checkpoint(5)):
        running = begin(busy)
        _, wishes = until(Upload, running, version)
        end(running.send, device_pb2.UploadContributionResponse())
    assert [wish.resource for wish in wishes if isinstance(wish, Fetch)] == [version.checkpoint]
    assert busy.private("task").steps.tolist() == [4]


def test_a_round_that_has_its_contribution_is_given_back(busy, bundle):
    running = begin(busy)
    until(Upload, running, bundle)
    end(running.send, device_pb2.UploadContributionResponse())
    before = busy.private("task").pack()
    running = begin(busy)
    wish, wishes = until(is_failure, running, bundle)
    assert wish.request.reason == FailureReason.FAILURE_REASON_TOO_SOON
    assert not any(isinstance(each, Train | Upload) for each in wishes)
    assert end(running.send, device_pb2.ReportFailureResponse()).result is Result.REJECTED
    assert busy.private("task").pack() == before


@pytest.mark.parametrize("separation", [0, 1, 2, 5])
def test_contributions_are_at_least_the_minimum_separation_apart(busy, bundle, separation):
    plan = task_pb2.Plan(minimum_separation=separation)
    task = bundle.with_manifest(plan=plan)
    contributed = []
    for number in range(12):
        running = begin(busy)
        wish, _ = until(lambda wish: isinstance(wish, Upload) or is_failure(wish), running, replace(task, round=number))
        if isinstance(wish, Upload):
            contributed.append(number)
            end(running.send, device_pb2.UploadContributionResponse())
        else:
            assert wish.request.reason == FailureReason.FAILURE_REASON_TOO_SOON
            outcome = end(running.send, device_pb2.ReportFailureResponse())
            assert outcome == Outcome(Result.REJECTED, None, "FAILURE_REASON_TOO_SOON")
    assert contributed == list(range(0, 12, max(1, separation)))


def test_a_diverged_training_is_given_back_and_nothing_is_kept(busy, bundle):
    tensors = {name: np.full_like(v, 1e30) for name, v in blobs.unpack(bundle.blobs[bundle.checkpoint.sha256]).items()}
    data = blobs.pack(tensors)
    huge = replace(bundle, blobs=bundle.blobs | {blobs.sha256(data): data}, checkpoint=blobs.resource(data))
    running = begin(busy)
    wish, _ = until(is_failure, running, huge)
    assert wish.request.reason == FailureReason.FAILURE_REASON_TRAINING
    with pytest.raises(DivergedError):
        running.send(device_pb2.ReportFailureResponse())
    assert busy.staged() is None
    assert busy.private("task") is None


def test_a_lease_without_a_bound_is_given_back(busy, bundle):
    running = begin(busy)
    next(running)
    wish = running.send(CheckInResponse(assignment=bundle.assignment(bound=0)))
    while not is_failure(wish):
        wish = running.send(answer(wish, bundle))
    assert wish.request.reason == REASON_UNSUPPORTED
    with pytest.raises(UnsupportedTaskError, match="bound"):
        running.send(device_pb2.ReportFailureResponse())


@pytest.mark.parametrize("number", [2**63, 2**64 - 1])
def test_a_round_beyond_what_can_be_kept_is_given_back(busy, bundle, number):
    text = gives_back(begin(busy), replace(bundle, round=number), UnsupportedTaskError, REASON_UNSUPPORTED)
    assert str(number) in text
    assert busy.model() is None
    until(Upload, begin(busy), replace(bundle, round=2**63 - 1))
    assert busy.staged().round == busy.model().round == 2**63 - 1


@pytest.mark.parametrize("seconds", [-(2**63), -1, 0, 2**63 - 1])
def test_whatever_the_lease_says_the_round_is_trained(busy, bundle, seconds):
    running = begin(busy)
    next(running)
    assignment = bundle.assignment()
    assignment.lease.seconds = seconds
    wish = running.send(CheckInResponse(assignment=assignment))
    while not isinstance(wish, Upload):
        wish = running.send(answer(wish, bundle))
    running.close()


def test_the_model_is_there_before_anything_is_trained(busy, bundle):
    running = begin(busy)
    until(Train, running, bundle)
    assert busy.model().checkpoint == bundle.checkpoint
    running.close()


def test_a_rejection_says_when_to_come_back(busy, window):
    running = begin(busy)
    next(running)
    rejection = Rejection(reason=device_pb2.REJECTION_REASON_ROUND_CLOSING, retry=window)
    outcome = end(running.send, CheckInResponse(rejection=rejection))
    assert outcome == Outcome(Result.REJECTED, retry.window(window), "REJECTION_REASON_ROUND_CLOSING")


def test_interrupted_work_is_given_back_and_leaves_nothing(busy, bundle, window):
    running = begin(busy)
    until(Train, running, bundle)
    wish = running.throw(Interrupted())
    assert is_failure(wish)
    assert wish.request.assignment_id == bundle.assignment().assignment_id
    assert wish.request.reason == FailureReason.FAILURE_REASON_INTERRUPTED
    outcome = end(running.send, device_pb2.ReportFailureResponse(next_check_in=window))
    assert outcome == Outcome(Result.INTERRUPTED, retry.window(window))
    assert busy.staged() is None
    assert busy.private("task") is None


@pytest.mark.parametrize("error", [TransportError("gone"), StatusError(Status.NOT_FOUND, "unknown")])
def test_giving_back_may_fail(busy, bundle, error):
    running = begin(busy)
    until(Train, running, bundle)
    running.throw(Interrupted())
    assert end(running.throw, error) == Outcome(Result.INTERRUPTED)


def gives_back(running, bundle, expected, reason):
    """Runs to the report of a failure; acknowledges it; expects the error."""
    wish, _ = until(is_failure, running, bundle)
    assert wish.request.reason == reason
    with pytest.raises(expected) as raised:
        running.send(device_pb2.ReportFailureResponse())
    return str(raised.value)


def test_nothing_to_train_on_is_given_back(store, bundle):
    text = gives_back(begin(store), bundle, NoDataError, FailureReason.FAILURE_REASON_NO_DATA)
    assert "record()" in text


@pytest.mark.parametrize("position", range(5))
@pytest.mark.parametrize("damage", [b"", b"other bytes", None])
def test_a_damaged_blob_is_given_back_and_never_cached(busy, bundle, position, damage):
    running = begin(busy)
    wish = running.send(answer(next(running), bundle))
    for _ in range(position):
        wish = running.send(answer(wish, bundle))
    wrong, address = damage, wish.resource
    wish = running.throw(BlobError("more bytes than declared")) if wrong is None else running.send(wrong)
    assert wish.request.reason == FailureReason.FAILURE_REASON_TRAINING
    with pytest.raises(DamagedTaskError):
        running.send(device_pb2.ReportFailureResponse())
    assert busy.blob(address) is None
    assert busy.model() is None


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"format": 1}, "format 1 is older"),
        ({"format": 3}, "format 3 is newer"),
        ({"model": "unheard-of"}, "unheard-of"),
        ({"items": 13}, "checkpoint"),
    ],
)
def test_an_unsupported_task_is_given_back(busy, bundle, fields, text):
    other = bundle.with_manifest(**fields)
    for spec in other.manifest.tensors:  # tables follow the number of items
        if "item" in spec.name:
            spec.shape[0] = other.manifest.items
    other = other.with_manifest()
    said = gives_back(begin(busy), other, UnsupportedTaskError, REASON_UNSUPPORTED)
    assert text in said


def test_a_task_with_a_parameter_that_its_recommender_does_not_know_is_given_back(busy, bundle):
    other = bundle.with_manifest(plan=task_pb2.Plan(parameters={"mu": 1.0}))
    text = gives_back(begin(busy), other, UnsupportedTaskError, REASON_UNSUPPORTED)
    assert "fedncf: the recommender does not know the parameter 'mu'" in text


def test_a_manifest_that_is_none_is_given_back(busy, bundle):
    data = b"\xff not a manifest"
    address = blobs.resource(data)
    running = begin(busy)
    next(running)
    assignment = bundle.assignment()
    assignment.manifest.CopyFrom(address)
    running.send(CheckInResponse(assignment=assignment))
    wish = running.send(data)
    assert wish.request.reason == REASON_UNSUPPORTED
    with pytest.raises(UnsupportedTaskError):
        running.send(device_pb2.ReportFailureResponse())


def test_an_attribute_value_that_the_plan_does_not_know_is_given_back(busy, bundle):
    busy.set_attribute("gender", "unheard-of")
    text = gives_back(begin(busy), bundle, AttributeValueError, FailureReason.FAILURE_REASON_TRAINING)
    assert "unheard-of" not in text  # an app may log it
    assert "M, F" in text


@pytest.mark.parametrize("value", [None, "M", "F"])
def test_adversary_tensors_are_contributed_only_where_the_attribute_is_known(busy, bundle, value):
    busy.set_attribute("gender", value)
    busy.set_attribute("of no task", "anything")
    upload, _ = until(Upload, begin(busy), bundle)
    names = contributions.Decoder(manifest.shared(bundle.manifest), 1e6)(upload.data)
    assert any(name.startswith("adversary.") for name in names) == (value is not None)
    assert not any(name.startswith("user_") for name in names)


def end_with(running, answer):
    """Gives a last answer, and acknowledges the report of a failure that may follow."""
    if is_failure(running.send(answer)):
        running.send(device_pb2.ReportFailureResponse())


@pytest.mark.parametrize("kind", [Call, Fetch, Train, Upload])
@pytest.mark.parametrize("wrong", [None, device_pb2.ReportFailureResponse()])
def test_a_wrong_answer_ends_the_session(busy, bundle, kind, wrong):
    if (kind, wrong) == (Train, None):
        wrong = 0  # None is the right answer
    running = begin(busy)
    until(kind, running, bundle)
    with pytest.raises(DriverError, match=f"answered {kind.__name__} with {type(wrong).__name__} instead of"):
        end_with(running, wrong)
    assert (busy.staged() is not None) == (kind is Upload)  # it may have been counted
    assert busy.private("task") is None


def fail_with(running, error):
    """Throws an error in, and acknowledges the report of a failure that may follow."""
    if is_failure(running.throw(error)):
        running.send(device_pb2.ReportFailureResponse())


@pytest.mark.parametrize("kind", [Call, Fetch])
@pytest.mark.parametrize("error", [TransportError("gone"), StatusError(Status.NOT_FOUND, "no such blob")])
def test_a_call_that_fails_ends_the_session_and_loses_nothing(busy, bundle, kind, error):
    running = begin(busy)
    until(kind, running, bundle)
    with pytest.raises(type(error)):
        fail_with(running, error)
    assert busy.staged() is None
    upload, _ = until(Upload, begin(busy), bundle)
    assert upload.data


@pytest.mark.parametrize("status", [*FINAL, Status.DEADLINE_EXCEEDED])
def test_a_final_refusal_drops_what_was_staged(busy, bundle, window, status):
    running = begin(busy)
    until(Upload, running, bundle)
    outcome = end(running.throw, StatusError(status, "the round is closed", window))
    assert outcome == Outcome(Result.REFUSED, retry.window(window), "the round is closed")
    assert busy.staged() is None
    assert busy.private("task") is None


@pytest.mark.parametrize(
    "error",
    [
        TransportError("gone"),
        StatusError(Status.UNAVAILABLE, "later", RetryWindow()),
        StatusError(Status.INTERNAL, "broken"),
        StatusError(Status.DEADLINE_EXCEEDED, "a local timeout"),
    ],
)
def test_an_unanswered_upload_is_made_again_with_the_same_bytes(tmp_path, bundle, error):
    folder = tmp_path / "unanswered"
    store = SqliteStore(folder)
    record(store)
    running = begin(store)
    upload, _ = until(Upload, running, bundle)
    with pytest.raises(type(error)):
        running.throw(error)
    store.close()
    store = SqliteStore(folder)
    running = begin(store)
    assert next(running) == upload
    assert end(running.send, device_pb2.UploadContributionResponse()).result == Result.UPLOADED
    assert store.private("task").steps.tolist() == [2]
    assert is_check_in(next(begin(store)))
    store.close()
