"""How the end of a sync is told: once, whichever way the client syncs, and without a word about the user."""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from threading import Event, current_thread, main_thread

import pytest

from client_sdk import (
    AsyncFedClient,
    Constraints,
    DeviceState,
    FedClient,
    Joined,
    SyncFailed,
    SyncInterrupted,
    TimedOutError,
    UsageError,
)
from client_sdk.engines import Chosen
from client_sdk.kernel.torch_engine import TorchEngine
from fedau2.wire.status import Status, StatusError
from tests.client_sdk.scheduling.background.virtual import CHARGING, VirtualClock, run

LOG = "client_sdk.scheduling.syncing"


class Broken:
    def __init__(self, error):
        self._error = error

    def begin(self, job):
        raise self._error


class Held:
    """An engine that waits to be let go before it begins."""

    def __init__(self):
        self.reached, self.go = Event(), Event()

    def begin(self, job):
        self.reached.set()
        assert self.go.wait(60)
        return TorchEngine().begin(job)


def ends(events):
    return [event for event in events if isinstance(event, SyncFailed | SyncInterrupted)]


def blocking(folder, address, engine, told):
    with FedClient.open(folder, address, "films", engine=engine) as client:
        client.events.subscribe(told)
        client.record("film-1")
        client.set_attribute("gender", "F")
        with suppress(BaseException):
            client.sync()


def on_a_loop(folder, address, engine, told):
    def off_the_loop(event):
        assert current_thread() is not main_thread()
        told(event)

    async def app():
        async with await AsyncFedClient.open(folder, address, "films", engine=engine) as client:
            client.events.subscribe(off_the_loop)
            await client.record("film-1")
            await client.set_attribute("gender", "F")
            with suppress(Exception):
                await client.sync()

    asyncio.run(app())


def in_the_background(folder, address, engine, told):
    with FedClient.open(folder, address, "films", engine=engine) as client:
        clock = VirtualClock(1)
        client.background._clock, client._core.syncs._clock = clock, clock.time
        client.events.subscribe(told)
        client.record("film-1")
        client.set_attribute("gender", "F")
        run(client, clock)


@pytest.fixture(params=[blocking, on_a_loop, in_the_background])
def told(request, tmp_path, address):
    """Syncs once, and returns what was told of its end."""

    def sync(engine: Chosen = "torch"):
        events = []
        request.param(tmp_path / "state", address, engine, events.append)
        return ends(events)

    return sync


def test_a_sync_that_ends_well_is_told_by_its_own_events_only(told, caplog):
    with caplog.at_level(logging.INFO, LOG):
        assert told() == []
    assert [record.getMessage() for record in caplog.records if record.name == LOG] == ["a sync ended: uploaded"]


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (Status.UNAVAILABLE, "TransportError", "cannot reach {}: is the server running"),
        (Status.NOT_FOUND, "RefusedError", "{} refused (NOT_FOUND): out of order"),
    ],
)
def test_a_call_that_fails_is_told_with_its_text(told, remote, address, status, error, text):
    remote.refusals["check_in"] = StatusError(status, "out of order")
    (end,) = told()
    assert end.error == error
    assert end.text.startswith(text.format(address))


def test_a_task_that_the_sdk_is_too_old_for_is_told_with_what_to_do(told, remote, bundle):
    remote.bundle = bundle.with_manifest(required_features=["later-sums"])
    remote.assignment = remote.bundle.assignment()
    (end,) = told()
    assert end.error == "MissingFeatureError"
    assert "update the app" in end.text


@pytest.mark.parametrize("error", [ZeroDivisionError, UsageError])
def test_a_text_that_may_quote_the_user_is_told_to_nobody(told, error, caplog):
    with caplog.at_level(logging.INFO, LOG):
        (end,) = told(Broken(error("film-1")))
    assert end.text == ""
    assert [record.levelno for record in caplog.records if record.name == LOG] == [logging.WARNING]
    assert f"a sync failed: {end.error}" in caplog.text
    assert "film-1" not in caplog.text


def test_a_place_with_too_short_a_lease_is_told_with_its_reason(told, remote):
    remote.assignment.lease.Clear()
    assert told() == [SyncInterrupted("FAILURE_REASON_TOO_SLOW")]


def test_the_end_of_a_sync_that_closing_ends_is_told(tmp_path, address):
    engine, events, caught = Held(), [], []

    async def app():
        client = await AsyncFedClient.open(tmp_path / "state", address, "films", engine=engine)
        client.events.subscribe(events.append)
        await client.record("film-1")
        sync = asyncio.create_task(client.sync())
        await asyncio.to_thread(engine.reached.wait)
        await client.close()
        engine.go.set()
        caught.append((await sync).result.value)

    asyncio.run(app())
    assert (caught, ends(events)) == (["interrupted"], [SyncInterrupted()])


def test_a_sync_that_is_cancelled_is_told_once(tmp_path, address, caplog):
    engine, events = Held(), []

    async def app():
        async with await AsyncFedClient.open(tmp_path / "state", address, "films", engine=engine) as client:
            client.events.subscribe(events.append)
            await client.record("film-1")
            sync = asyncio.create_task(client.sync())
            await asyncio.to_thread(engine.reached.wait)
            sync.cancel()
            engine.go.set()
            with pytest.raises(asyncio.CancelledError):
                await sync

    with caplog.at_level(logging.INFO, LOG):
        asyncio.run(app())
    assert ends(events) == [SyncInterrupted()]
    assert "a sync was interrupted: CancelledError" in caplog.messages


def test_the_end_of_a_sync_that_its_time_ends_is_told(client):
    events = []
    client.events.subscribe(events.append)
    with pytest.raises(TimedOutError):
        client.sync(timeout=1e-9)
    assert events == [SyncInterrupted()]


def test_a_client_that_is_closed_before_a_sync_calls_is_told_of_as_interrupted(client, monkeypatch):
    begin, events = client._core.session, []

    def closed():
        client.close()
        return begin()

    monkeypatch.setattr(client._core, "session", closed)
    client.events.subscribe(events.append)
    with suppress(Exception):
        client.sync()
    assert events == [SyncInterrupted()]


@pytest.mark.parametrize("limit", ["constraints", "budget"])
def test_the_end_of_a_sync_that_the_limits_of_background_work_end_is_told(client, limit):
    clock, events, state = VirtualClock(1), [], [CHARGING]
    client.background._clock, client._core.syncs._clock = clock, clock.time

    def exceed(event):
        events.append(event)
        if isinstance(event, Joined) and limit == "budget":
            clock.now += 3600
        elif isinstance(event, Joined):
            state[0] = DeviceState(charging=False)

    client.events.subscribe(exceed)
    run(client, clock, Constraints(charging=True), device_state=lambda: state[0], round_budget=timedelta(minutes=10))
    assert ends(events) == [SyncInterrupted()]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_callback_that_exits_at_the_end_of_a_sync_ends_it_once(client, remote, error):
    remote.refusals["check_in"] = StatusError(Status.UNAVAILABLE, "down")
    events = []

    def leave(event):
        events.append(event)
        raise error

    client.events.subscribe(leave)
    with pytest.raises(error):
        client.sync()
    assert [type(event) for event in events] == [SyncFailed]
    assert client.status().last_sync.error == "TransportError"
