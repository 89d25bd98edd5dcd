"""What goes wrong ends no background work."""

from datetime import timedelta
from itertools import pairwise

import pytest

from client_sdk import Constraints, Joined, Rejected, RetryWindow, SyncFailed, Uploaded
from client_sdk.advice import ADVICE
from client_sdk.errors import AttributeValueError
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.scheduling.pace import LEAST_BACKOFF
from fedau2.wire.status import Status, StatusError
from tests.client_sdk.scheduling.background.virtual import CHARGING, run


def test_failures_are_tried_again_after_longer_times(client, remote, clock):
    remote.refusals["check_in"] = StatusError(Status.UNAVAILABLE, "down")
    time, at = clock(40), []
    answer = remote.check_in

    def check_in(request):
        at.append(time.now)
        return answer(request)

    remote.check_in = check_in
    run(client, time)
    pauses = [after - before for before, after in pairwise(at)]
    assert len(pauses) > 4
    for number, pause in enumerate(pauses):
        assert LEAST_BACKOFF * 2**number / 2 <= pause <= LEAST_BACKOFF * 2**number + 1
    assert client.status().last_sync.error == "TransportError"


def test_an_engine_that_breaks_does_not_end_background_work(client, clock, told, caplog):
    class Broken:
        def begin(self, job):
            raise ZeroDivisionError("film-1")

    client._core.engine = Broken()
    time = clock(30)
    time.between = lambda: setattr(client._core, "engine", TorchEngine()) if len(time.waits) == 2 else None
    run(client, time)
    assert Uploaded("task", 0) in told
    assert "TrainingError" in caplog.text
    assert "film-1" not in caplog.text


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_no_exit_of_the_app_ends_background_work(client, clock, told, error, caplog):
    left = [error("film-1")] * 3  # of the provider, of the engine and of a callback

    def leave(*_):
        if left:
            raise left.pop()

    class Leaving(TorchEngine):
        def begin(self, job):
            leave()
            return super().begin(job)

    def device():
        leave()
        return CHARGING

    client._core.engine = Leaving()
    client.events.subscribe(lambda event: leave() if len(left) == 1 else None)
    time = clock(50)
    run(client, time, Constraints(charging=True), device_state=device)
    assert left == []
    assert Uploaded("task", 0) in told
    assert "film-1" not in caplog.text
    assert client.status().background.running
    client.background.stop()


def test_a_sync_that_an_exit_ends_is_not_tried_again_at_once(client, remote, clock):
    class Leaving:
        def begin(self, job):
            raise SystemExit

    client._core.engine = Leaving()
    time, at = clock(30), []
    client.events.subscribe(lambda event: at.append(time.now) if isinstance(event, Joined) else None)
    run(client, time)
    assert len(at) > 2
    assert all(after - before >= LEAST_BACKOFF / 2 for before, after in pairwise(at))
    assert client.status().last_sync.error == "SystemExit"


def test_a_client_that_cannot_train_waits_for_the_windows_and_is_told_once(client, remote, clock, told, caplog):
    client.sync()
    told.clear()
    remote.calls.clear()
    client.set_attribute("gender", None)
    client._store.set_attribute("gender", "a value of another task")
    time = clock(60)
    run(client, time)
    checks = remote.names().count("check_in")
    assert checks > 4
    # The scripted window ends after nine seconds, and background work looks once more after a second.
    assert time.now - 1e9 <= checks * 11
    assert client._core.syncs.pace.failures == 0
    assert told.count(Rejected("REJECTION_REASON_NO_PLACE_WANTED")) == checks
    (failed,) = [event for event in told if isinstance(event, SyncFailed)]
    assert (failed.error, failed.code, failed.advice) == (
        "AttributeValueError",
        "attribute_value",
        ADVICE["attribute_value"],
    )
    assert "another task" not in caplog.text
    client._store.set_attribute("gender", "F")
    remote.assignment = remote.bundle.assignment(1, 1)
    client.sync()
    client._store.set_attribute("gender", "a value of another task")
    with pytest.raises(AttributeValueError) as raised:
        client.sync()
    assert raised.value.retry == RetryWindow(timedelta(seconds=5), timedelta(seconds=9))
    assert len([event for event in told if isinstance(event, SyncFailed)]) == 2  # it could train in between
