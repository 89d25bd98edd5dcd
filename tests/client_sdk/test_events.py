import logging
from dataclasses import replace
from threading import Thread
from typing import get_args

import pytest

from client_sdk import (
    BlobRemoved,
    CarriedOver,
    DownloadDropped,
    FedClient,
    InteractionsDropped,
    Joined,
    NewModel,
    Refused,
    Rejected,
    SyncFailed,
    SyncInterrupted,
    TaskRefused,
    Trained,
    Uploaded,
)
from client_sdk.errors import MissingFeatureError, TransportError, UsageError
from client_sdk.events import Event
from fedau2.v1.device_pb2 import CheckInResponse, ModelVersion, Rejection
from fedau2.wire.status import Status, StatusError

WELL = {CarriedOver, Joined, NewModel, Trained, Uploaded}
ROUND = [Joined("task", 0), NewModel("task", 0), Trained("task", 0), Uploaded("task", 0)]


def test_a_round_is_told_in_order(client, told):
    client.sync()
    assert told == ROUND


def test_a_model_is_new_once(client, remote, bundle, told):
    remote.refusals["upload"] = StatusError(Status.ABORTED, "closed")
    client.sync()
    client.sync()
    refused = Refused("task", 0, "closed", "aborted")
    assert told == [*ROUND[:3], refused, ROUND[0], ROUND[2], refused]
    told.clear()
    del remote.refusals["upload"]
    remote.bundle = bundle.with_checkpoint(9)
    remote.assignment = remote.bundle.assignment(1, 1)
    client.sync()
    assert NewModel("task", 1) in told


def test_a_rejection_is_told(client, remote, told):
    remote.assignment = None
    client.sync()
    assert told == [Rejected("REJECTION_REASON_ROUND_FULL")]


def test_a_round_that_was_contributed_to_is_told_as_too_soon(client, told):
    client.sync()
    client.sync()
    assert told[len(ROUND) :] == [Joined("task", 0), Rejected("FAILURE_REASON_TOO_SOON")]


def test_an_upload_that_is_sent_again_is_told_once(client, remote, told):
    remote.refusals["upload"] = StatusError(Status.UNAVAILABLE, "going down")
    with pytest.raises(TransportError):
        client.sync()
    *before, failed = told
    assert (before, type(failed)) == (ROUND[:3], SyncFailed)
    told.clear()
    del remote.refusals["upload"]
    client.sync()
    assert told == ROUND[3:]


def test_a_callback_may_use_the_client_and_so_may_other_threads_meanwhile(client):
    seen = []

    def use(event):
        thread = Thread(target=client.record, args=("film-2",))
        thread.start()
        thread.join()
        client.set_attribute("gender", "F")
        seen.append(client.status().recorded)

    client.events.subscribe(use)
    client.sync()
    assert seen == [2, 3, 4, 5]


def test_a_callback_that_fails_is_logged_and_stops_nothing(client, told, caplog):
    def fail(event):
        raise RuntimeError("the app's own")

    client.events.subscribe(fail)
    last = []
    client.events.subscribe(last.append)
    with caplog.at_level(logging.ERROR, "client_sdk.subscriptions"):
        client.sync()
    assert told == last == ROUND
    assert len(caplog.records) == len(ROUND)
    assert "a callback failed at Joined" in caplog.text


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_the_apps_exit_ends_a_sync_in_the_main_thread_and_no_other(client, told, error, caplog):
    def leave(event):
        raise error("the app's own")

    unsubscribe = client.events.subscribe(leave)
    with pytest.raises(error):
        client.sync()
    assert told == [ROUND[0], SyncInterrupted()]
    unsubscribe()
    client.sync()
    assert told[2:] == ROUND
    client.events.subscribe(leave)
    thread = Thread(target=client.sync)
    thread.start()
    thread.join()
    assert told[-1] == Rejected("FAILURE_REASON_TOO_SOON")
    assert "the app's own" not in caplog.text


def test_a_callback_cannot_sync(client):
    errors = []

    def sync(event):
        with pytest.raises(UsageError, match="callback") as error:
            client.sync()
        errors.append(error)

    client.events.subscribe(sync)
    client.sync()
    assert len(errors) == len(ROUND)
    client.sync()


def test_after_unsubscribing_nothing_is_told(client):
    events = []
    first = client.events.subscribe(events.append)
    client.events.subscribe(events.append)  # the same twice is told twice
    first()
    first()
    client.sync()
    assert events == ROUND


def test_a_callback_may_unsubscribe_itself(client):
    events = []

    def once(event):
        events.append(event)
        unsubscribe()

    unsubscribe = client.events.subscribe(once)
    client.sync()
    assert events == ROUND[:1]


def test_a_task_that_is_not_run_here_is_told_with_its_code(client, remote, bundle, told):
    client.sync()
    told.clear()
    remote.bundle = bundle.with_manifest(required_features=["grid"])
    remote.assignment = remote.bundle.assignment(1, 1)
    with pytest.raises(MissingFeatureError):
        client.sync()
    *_, refused, failed = told
    assert refused == TaskRefused("task", 1, "missing_feature")
    assert (failed.code, failed.advice) == ("missing_feature", MissingFeatureError("", ()).advice)


def test_interactions_that_are_dropped_are_told_by_their_number(tmp_path, told):
    with FedClient.open(tmp_path / "small", "127.0.0.1:1", "films", max_interactions=2) as client:
        client.events.subscribe(told.append)
        client.record("film-1")
        client.record_many(["film-2", "film-3", "film-4"])
    assert told == [InteractionsDropped(2)]


def test_a_damaged_part_of_the_model_is_told_when_it_has_been_removed(client, remote, told):
    client.sync()
    told.clear()
    removed = client._store.folder / "blobs" / remote.bundle.checkpoint.sha256.hex()
    removed.write_bytes(b"damaged")
    remote.assignment = remote.bundle.assignment(1, 1)
    client.sync()
    assert told.count(BlobRemoved(removed.name)) == 1
    assert told[-1] == Uploaded("task", 1)


def test_a_download_that_is_not_finished_is_told(client, remote, bundle, told):
    gone = bundle.checkpoint.sha256
    remote.bundle = replace(bundle, blobs={sha256: data for sha256, data in bundle.blobs.items() if sha256 != gone})
    model = ModelVersion(task_id="task", manifest=bundle.address, checkpoint=bundle.checkpoint)
    remote.check_in = lambda request: CheckInResponse(rejection=Rejection(reason=1, model=model))
    assert not client.sync().refreshed
    assert told == [Rejected("REJECTION_REASON_ROUND_FULL"), DownloadDropped("task", 0, "not_served")]


def test_what_does_not_end_well_has_a_code():
    for kind in get_args(Event):
        assert hasattr(kind, "code") or "code" in kind.__dataclass_fields__ or kind in WELL
    assert Rejected("REJECTION_REASON_ROUND_FULL").code == "round_full"
    assert Rejected("REJECTION_REASON_77").code == "77"
    assert SyncInterrupted("FAILURE_REASON_TOO_SLOW").code == "too_slow"
    assert SyncInterrupted().code == "stopped"
