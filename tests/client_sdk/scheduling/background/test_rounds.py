"""When rounds are trained: in the windows of the coordinator, while constraints are met."""

import pytest

from client_sdk import Constraints, DeviceState, FedClient, Joined, NewModel, Trained, Uploaded
from client_sdk.errors import UsageError
from client_sdk.personalisation.personaliser import STEPS
from client_sdk.scheduling.schedule import POLL
from fedau2.v1.device_pb2 import FailureReason
from tests.client_sdk.scheduling.background.virtual import CHARGING, VirtualClock, run, served


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


def test_the_time_to_come_back_outlives_the_process(client, clock, tmp_path, address, remote):
    time = clock(1)
    run(client, time)
    asked = remote.names().count("check_in")
    client.close()
    with FedClient.open(tmp_path / "state", address, "films") as again:
        later = VirtualClock(1)
        later.now = time.now
        again.background._clock, again._core.syncs._clock = later, later.time
        run(again, later)
        assert remote.names().count("check_in") == asked
        assert 0 < later.waits[0] <= 9


def test_started_again_it_goes_on_with_the_new_constraints(client, remote, clock):
    run(client, clock(1), Constraints(charging=True), device_state=DeviceState)
    thread = client.background._run.thread
    run(client, clock(1))
    assert not thread.is_alive()
    assert remote.names()[-1] == "upload"


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


def test_a_constraint_that_ceases_after_the_training_keeps_the_contribution_for_later(client, remote, clock, told):
    time, device = clock(20), [CHARGING]

    def unplug(event):
        if isinstance(event, Trained):
            device[0] = DeviceState(charging=False)

    def plug():
        if len(time.waits) == 10:
            assert "upload" not in remote.names()
            assert client.status().upload_waiting
            device[0] = CHARGING

    client.events.subscribe(unplug)
    time.between = plug
    run(client, time, Constraints(charging=True), device_state=lambda: device[0])
    assert "report_failure" not in remote.names()[: remote.names().index("upload")]
    assert told.count(Trained("task", 0)) == told.count(Uploaded("task", 0)) == 1


def test_a_constraint_is_checked_with_each_piece_of_a_download(client, remote, bundle, clock):
    time, states = clock(1), []

    def device():
        states.append(len(remote.calls))
        return CHARGING

    run(client, time, Constraints(charging=True), device_state=device)
    # Before the turn and the check-in; before and in each of six fetches; before each of two steps and the upload; and
    # before each personal step.
    assert states == [0, 0, *(n for fetch in range(1, 7) for n in (fetch, fetch + 1)), 7, 7, 7, *[8] * STEPS]
