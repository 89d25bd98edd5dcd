"""A device without a place in the round fetches the newest model, if it is wanted."""

from dataclasses import replace

import pytest

from client_sdk import retry
from client_sdk.errors import DamagedTaskError, MissingFeatureError, TransportError, UntrustedTaskError
from client_sdk.events import NewModel, Rejected
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.session import session
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.wishes import Fetch, Interrupted, Outcome, Result, Upload
from fedau2.v1 import device_pb2
from fedau2.v1.device_pb2 import CheckInResponse, FailureReason, ModelVersion, Rejection
from fedau2.v1.task_pb2 import Plan
from fedau2.wire.status import Status, StatusError
from tests.client_sdk.sessions import answer, end, is_failure, until

FULL = "REJECTION_REASON_ROUND_FULL"


def rejection(bundle, window):
    model = ModelVersion(task_id="task", round=bundle.round, manifest=bundle.address, checkpoint=bundle.checkpoint)
    reason = device_pb2.REJECTION_REASON_ROUND_FULL
    return CheckInResponse(rejection=Rejection(reason=reason, retry=window, model=model))


def begin(store, wanted=lambda model: True, **options):
    return session(store, TorchEngine(), "films", "1", wanted=wanted, **options)


def finish(running, wish, bundle):
    """Answers fetches to the end of a session; returns its outcome and the blobs that it fetched."""
    fetched = []
    while True:
        assert isinstance(wish, Fetch)  # nothing is trained or uploaded without a place
        fetched.append(wish.resource)
        try:
            wish = running.send(answer(wish, bundle))
        except StopIteration as stop:
            return stop.value, fetched


def turned_away(running, bundle, window):
    next(running)
    return finish(running, running.send(rejection(bundle, window)), bundle)


def test_the_model_is_fetched_as_for_a_place_and_the_outcome_says_so(store, bundle, window):
    events = []
    outcome, fetched = turned_away(begin(store, emit=events.append), bundle, window)
    assert outcome == Outcome(Result.REJECTED, retry.window(window), FULL, refreshed=True)
    assert {resource.sha256 for resource in fetched} == set(bundle.blobs)
    assert (store.model().task_id, store.model().checkpoint) == ("task", bundle.checkpoint)
    assert events == [Rejected(FULL), NewModel("task", 0)]
    assert (store.private("task"), store.staged()) == (None, None)  # as before the first contribution


def test_a_newer_model_costs_its_checkpoint_only(store, bundle, window):
    turned_away(begin(store), bundle, window)
    newer = bundle.with_checkpoint(3)
    outcome, fetched = turned_away(begin(store), newer, window)
    assert (outcome.refreshed, fetched) == (True, [newer.checkpoint])
    assert (store.model().round, store.model().checkpoint) == (1, newer.checkpoint)


def test_a_model_that_is_not_wanted_is_not_fetched(store, bundle, window):
    asked = []
    running = begin(store, lambda model: bool(asked.append(model)))
    next(running)
    assert end(running.send, rejection(bundle, window)) == Outcome(Result.REJECTED, retry.window(window), FULL)
    assert [(model.task_id, model.checkpoint) for model in asked] == [("task", bundle.checkpoint)]
    running = session(store, TorchEngine(), "films", "1")  # nor is any by default, as in a fleet
    next(running)
    assert not end(running.send, rejection(bundle, window)).refreshed


def test_a_coordinator_that_names_no_model_is_asked_for_none(store, window):
    running = begin(store)
    next(running)
    older = Rejection(reason=device_pb2.REJECTION_REASON_ROUND_FULL, retry=window)
    assert end(running.send, CheckInResponse(rejection=older)) == Outcome(Result.REJECTED, retry.window(window), FULL)


def test_who_comes_too_soon_gives_the_place_back_before_it_fetches_the_model(busy, bundle, window):
    running = begin(busy)
    until(Upload, running, bundle)
    end(running.send, device_pb2.UploadContributionResponse())
    newer = replace(bundle.with_checkpoint(3).with_manifest(plan=Plan(minimum_separation=5)))
    running = begin(busy)
    wish, wishes = until(is_failure, running, newer)
    assert wish.request.reason == FailureReason.FAILURE_REASON_TOO_SOON
    assert [each.resource for each in wishes if isinstance(each, Fetch)] == [newer.address]
    outcome, fetched = finish(running, running.send(device_pb2.ReportFailureResponse(next_check_in=window)), newer)
    assert outcome == Outcome(Result.REJECTED, retry.window(window), "FAILURE_REASON_TOO_SOON", refreshed=True)
    assert fetched == [newer.checkpoint]
    assert busy.model().round == 1


def test_a_model_that_is_refused_for_a_place_is_refused_without_one(store, bundle, window):
    with pytest.raises(MissingFeatureError):
        turned_away(begin(store), bundle.with_manifest(required_features=["later-sums"]), window)
    spoiled = replace(bundle, blobs=bundle.blobs | {bundle.checkpoint.sha256: b"other bytes"})
    with pytest.raises(DamagedTaskError):
        turned_away(begin(store), spoiled, window)
    assert store.model() is None


def test_a_model_that_is_not_trusted_is_not_kept(store, bundle, window, monkeypatch):
    def check(self, manifest):
        raise UntrustedTaskError("not signed")

    monkeypatch.setattr(Trust, "check", check)
    with pytest.raises(UntrustedTaskError):
        turned_away(begin(store), bundle, window)
    assert (store.model(), store.blob(bundle.address)) == (None, None)


def stopped_in_the_checkpoint(store, bundle, window):
    running = begin(store)
    next(running)
    wish = running.send(rejection(bundle, window))
    while wish.resource != bundle.checkpoint:
        wish = running.send(answer(wish, bundle))
    return running


def test_work_that_must_stop_keeps_what_was_fetched(store, bundle, window):
    running = stopped_in_the_checkpoint(store, bundle, window)
    assert end(running.throw, Interrupted()) == Outcome(Result.INTERRUPTED, retry.window(window), FULL)
    outcome, fetched = turned_away(begin(store), bundle, window)
    assert (outcome.refreshed, fetched) == (True, [bundle.checkpoint])


def test_a_model_that_was_replaced_meanwhile_is_left_to_the_next_sync(store, bundle, window):
    running = stopped_in_the_checkpoint(store, bundle, window)
    gone = StatusError(Status.NOT_FOUND, "no such blob is served any more")
    assert end(running.throw, gone) == Outcome(Result.REJECTED, retry.window(window), FULL)


@pytest.mark.parametrize("error", [TransportError("gone"), StatusError(Status.UNAVAILABLE, "later")])
def test_a_coordinator_that_does_not_answer_ends_the_session(store, bundle, window, error):
    running = stopped_in_the_checkpoint(store, bundle, window)
    with pytest.raises(type(error)):
        running.throw(error)
