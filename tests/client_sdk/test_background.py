"""Background work in virtual time: the clock moves when the thread waits, so no test waits for a clock."""

import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from threading import Event

import pytest

from client_sdk import Constraints, DeviceState, FedClient, Joined, NewModel, Result, Trained, Uploaded
from client_sdk.errors import StoreError, UsageError
from client_sdk.pace import LEAST_BACKOFF
from client_sdk.schedule import POLL
from client_sdk.torch_engine import TorchEngine
from fedau2.v1.device_pb2 import FailureReason
from fedau2.wire.status import Status, StatusError

CHARGING = DeviceState(charging=True)
AT_MOST = 60.0


class VirtualClock:
    """Moves by what is waited for; after `turns` waits it stands still until the work is stopped."""

    def __init__(self, turns):
        self.now, self.turns, self.waits = 1e9, turns, []
        self.still, self.between = Event(), lambda: None

    def time(self):
        return self.now

    def monotonic(self):
        return self.now

    def wait(self, event, seconds):
        self.waits.append(seconds)
        self.now += seconds
        self.between()
        if len(self.waits) == self.turns:
            self.still.set()
            event.wait()


@pytest.fixture
def client(tmp_path, address):
    with FedClient.open(tmp_path / "state", address, "films") as opened:
        opened.record("film-1")
        yield opened


@pytest.fixture
def told(client):
    events = []
    client.events.subscribe(events.append)
    return events


@pytest.fixture
def clock(client):
    """Sets a client's clock, which stands still after so many waits."""

    def make(turns):
        clock = VirtualClock(turns)
        client.background._clock, client._syncs._clock = clock, clock.time
        return clock

    return make


def run(client, clock, *arguments, **options):
    client.background.start(*arguments, **options)
    assert clock.still.wait(AT_MOST)


def served(remote, bundle):
    """The coordinator assigns another round with each check-in."""
    answer, rounds = remote.check_in, iter(range(1000))

    def check_in(request):
        number = next(rounds)
        remote.assignment = bundle.assignment(number, number)
        return answer(request)

    remote.check_in = check_in


def test_round_after_round_is_trained_in_the_coordinators_windows(client, remote, bundle, clock, told):
    served(remote, bundle)
    time = clock(12)
    began = {}
    client.events.subscribe(lambda event: began.setdefault(event, time.now))
    run(client, time)
    rounds = [event.round for event in told if isinstance(event, Uploaded)]
    assert len(rounds) >= 3
    assert rounds == list(range(len(rounds)))
    for number in rounds[1:]:
        assert 5 <= began[Joined("task", number)] - began[Joined("task", number - 1)] <= 9 + 1


def test_nothing_is_asked_while_a_constraint_is_not_met(client, remote, clock):
    time = clock(3)
    run(client, time, Constraints(charging=True), device_state=DeviceState)
    assert time.waits == [POLL] * 3
    assert remote.calls == []
    status = client.status().background
    assert (status.running, status.syncing, status.unmet) == (True, False, ("charging",))
    client.background.stop()
    assert not client.status().background.running


def test_it_begins_when_the_constraints_are_met(client, clock, told):
    time, states = clock(5), iter([DeviceState(charging=False), DeviceState()])
    run(client, time, Constraints(charging=True), device_state=lambda: next(states, CHARGING))
    assert time.waits[:2] == [POLL, POLL]
    assert Uploaded("task", 0) in told


def test_a_constraint_that_ceases_gives_the_place_back_and_the_round_is_trained_later(client, remote, clock, told):
    time, device = clock(20), [CHARGING]

    def unplug(event):
        if isinstance(event, NewModel):
            device[0] = DeviceState(charging=False)

    def plug():
        if len(time.waits) == 10:
            device[0] = CHARGING

    client.events.subscribe(unplug)
    time.between = plug
    run(client, time, Constraints(charging=True), device_state=lambda: device[0])
    first, *later = [(name, call) for name, call in remote.calls if name in ("report_failure", "upload")]
    assert first[1].reason == FailureReason.FAILURE_REASON_INTERRUPTED
    assert later[0][0] == "upload"
    assert POLL in time.waits
    assert told.count(Trained("task", 0)) == told.count(Uploaded("task", 0)) == 1


Battery = namedtuple("Battery", "percent secsleft power_plugged")  # as psutil documents it


class Steps:
    """An engine that calls back before each local step."""

    def __init__(self, act):
        self.act, self.engine = act, TorchEngine()

    def begin(self, job):
        training, act = self.engine.begin(job), self.act
        step = training.step

        def acted():
            act()
            step()

        training.step = acted
        return training


def test_a_round_that_takes_too_long_is_given_back(client, remote, clock):
    time = clock(1)

    def take_long():
        time.now += 61

    client._engine = Steps(take_long)
    run(client, time, round_budget=timedelta(seconds=60))
    assert remote.names()[-1] == "report_failure"
    assert client.status().last_sync.result is Result.INTERRUPTED


def test_stopping_ends_a_training_before_its_next_step(client, remote, clock):
    reached, go_on, steps = Event(), Event(), []

    def pause():
        steps.append(1)
        reached.set()
        go_on.wait(AT_MOST)

    client._engine = Steps(pause)
    clock(100)
    client.background.start()
    assert reached.wait(AT_MOST)
    assert client.status().background.syncing
    client.background._run.stopped.set()  # what stop() does first, before it waits
    go_on.set()
    client.background.stop()
    assert steps == [1]
    assert remote.names()[-1] == "report_failure"
    assert client.sync().result is Result.UPLOADED


def test_stopping_hangs_up_on_a_coordinator_that_does_not_answer(tmp_path, silent, serve):
    with FedClient.open(tmp_path / "state", serve(silent), "films") as client:
        client.background.start()
        assert silent.called.wait(AT_MOST)
        client.background.stop()
        assert not client.status().background.running
        assert client.status().last_sync.error == "TransportError"
    assert silent.hung_up.wait(AT_MOST)
    assert silent.left > 0  # it was no deadline that ended the call


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

    client._engine = Broken()
    time = clock(30)
    time.between = lambda: setattr(client, "_engine", TorchEngine()) if len(time.waits) == 2 else None
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

    client._engine = Leaving()
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

    client._engine = Leaving()
    time, at = clock(30), []
    client.events.subscribe(lambda event: at.append(time.now) if isinstance(event, Joined) else None)
    run(client, time)
    assert len(at) > 2
    assert all(after - before >= LEAST_BACKOFF / 2 for before, after in pairwise(at))
    assert client.status().last_sync.error == "SystemExit"


@pytest.mark.parametrize("back", [60.0, 86400.0, 365 * 86400.0])
def test_a_clock_that_is_set_back_keeps_no_device_away(client, remote, bundle, clock, told, back):
    served(remote, bundle)
    time, jumps = clock(12), []

    def jump():
        if Uploaded("task", 0) in told and not jumps:
            time.now -= back
            jumps.append(time.now)

    time.between = jump
    at = {}
    client.events.subscribe(lambda event: at.setdefault(event, time.now))
    run(client, time)
    assert 0 <= at[Joined("task", 1)] - jumps[0] <= 9 + 2  # as long as the window that it was told, at most


def test_a_provider_that_fails_meets_no_constraint(client, remote, clock, caplog):
    answers = iter([lambda: 1 / 0, lambda: "charging"])
    run(client, clock(2), Constraints(charging=True), device_state=lambda: next(answers)())
    assert remote.calls == []
    assert "cannot be told" in caplog.text
    assert "returned a str" in caplog.text


def test_started_again_it_goes_on_with_the_new_constraints(client, remote, clock):
    run(client, clock(1), Constraints(charging=True), device_state=DeviceState)
    thread = client.background._run.thread
    run(client, clock(1))
    assert not thread.is_alive()
    assert remote.names()[-1] == "upload"


def test_closing_stops_it(client, clock):
    run(client, clock(1))
    thread = client.background._run.thread
    client.close()
    assert not thread.is_alive()
    with pytest.raises(StoreError):
        client.background.start()


@pytest.mark.parametrize("end", ["stop", "close"])
def test_a_callback_may_end_it(client, clock, end):
    ended = Event()

    def act(event):
        if isinstance(event, Joined):
            client.background.stop() if end == "stop" else client.close()
            ended.set()

    client.events.subscribe(act)
    clock(100)
    client.background.start()
    thread = client.background._run.thread
    assert ended.wait(AT_MOST)
    thread.join(AT_MOST)
    assert not thread.is_alive()


def test_a_callback_of_the_apps_own_sync_may_stop_it(client, clock):
    clock(10**9)
    # Not due yet, and asking again and again.
    client.sync()
    client.background.start()
    client.events.subscribe(lambda event: client.background.stop())
    client.sync()
    assert not client.status().background.running


def test_the_time_to_come_back_outlives_the_process(client, clock, tmp_path, address, remote):
    time = clock(1)
    run(client, time)
    asked = remote.names().count("check_in")
    client.close()
    with FedClient.open(tmp_path / "state", address, "films") as again:
        later = VirtualClock(1)
        later.now = time.now
        again.background._clock, again._syncs._clock = later, later.time
        run(again, later)
        assert remote.names().count("check_in") == asked
        assert 0 < later.waits[0] <= 9


@pytest.mark.parametrize(
    "arguments",
    [
        {"constraints": "charging"},
        {"constraints": Constraints(charging=True), "device_state": CHARGING},
        {"round_budget": 60},
    ],
)
def test_arguments_that_cannot_be_meant_start_nothing(client, arguments):
    with pytest.raises(UsageError):
        client.background.start(**arguments)
    assert not client.status().background.running


def test_psutil_tells_of_storage_and_says_what_it_cannot_tell(client, remote, clock, tmp_path, caplog):
    from client_sdk import device_state

    state = device_state.read(tmp_path)
    assert (state.unmetered, state.idle) == (None, None)
    assert device_state.read(tmp_path / "nothing").storage_not_low is None
    assert isinstance(state.storage_not_low, bool)
    run(client, clock(1), Constraints(idle=True))
    assert "psutil cannot tell idle" in caplog.text
    assert client.status().background.unmet == ("idle",)
    assert remote.calls == []


def test_how_psutil_speaks_of_batteries(monkeypatch, tmp_path):
    import psutil

    from client_sdk import device_state

    def with_battery(*fields):
        monkeypatch.setattr(psutil, "sensors_battery", lambda: Battery(*fields) if fields else None, raising=False)
        return replace(device_state.read(tmp_path), storage_not_low=None)

    assert with_battery(80, 3600, False) == DeviceState(charging=False, battery_not_low=True)
    assert with_battery(15, 900, True) == DeviceState(charging=True, battery_not_low=False)
    assert with_battery(15.5, 900, None) == DeviceState(charging=None, battery_not_low=True)
    assert with_battery() == DeviceState()
    monkeypatch.delattr(psutil, "sensors_battery")
    assert replace(device_state.read(tmp_path), storage_not_low=None) == DeviceState()


def test_without_psutil_it_says_what_to_install_and_works_without_constraints(tmp_path):
    code = """
import sys
sys.modules["psutil"] = None
from client_sdk import Constraints, DeviceState, FedClient, MissingDeviceStateError
with FedClient.open(sys.argv[1], "localhost:1", "films") as client:
    try:
        client.background.start(Constraints(charging=True))
    except MissingDeviceStateError as error:
        print(error)
    client.background.start(Constraints(charging=True), device_state=DeviceState)
    print(client.status().background.running)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "state")], capture_output=True, text=True)
    said, running = done.stdout.splitlines()
    assert "pip install 'fedau2[background]'" in said, done.stderr
    assert running == "True"
