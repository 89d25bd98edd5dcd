import logging
from threading import Thread

import pytest

from client_sdk import Joined, NewModel, Refused, Rejected, SyncFailed, SyncInterrupted, Trained, Uploaded
from client_sdk.errors import TransportError, UsageError
from fedau2.wire.status import Status, StatusError

ROUND = [Joined("task", 0), NewModel("task", 0), Trained("task", 0), Uploaded("task", 0)]


def test_a_round_is_told_in_order(client, told):
    client.sync()
    assert told == ROUND


def test_a_model_is_new_once(client, remote, bundle, told):
    remote.refusals["upload"] = StatusError(Status.ABORTED, "closed")
    client.sync()
    client.sync()
    assert told == [*ROUND[:3], Refused("task", 0, "closed"), ROUND[0], ROUND[2], Refused("task", 0, "closed")]
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
    with caplog.at_level(logging.ERROR, "client_sdk.events"):
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
