"""What ends background work, or a round of it."""

from datetime import timedelta
from itertools import pairwise
from threading import Event

import pytest

from client_sdk import FedClient, Joined, Result
from client_sdk.errors import StoreError
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.scheduling.pace import LEAST_BACKOFF
from tests.client_sdk.scheduling.background.virtual import AT_MOST, run


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

    client._core.engine = Steps(take_long)
    run(client, time, round_budget=timedelta(seconds=60))
    assert remote.names()[-1] == "report_failure"
    assert client.status().last_sync.result is Result.INTERRUPTED


def test_stopping_ends_a_training_before_its_next_step(client, remote, clock):
    reached, go_on, steps = Event(), Event(), []

    def pause():
        steps.append(1)
        reached.set()
        go_on.wait(AT_MOST)

    client._core.engine = Steps(pause)
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
        client.record("film-1")
        client.background.start()
        assert silent.called.wait(AT_MOST)
        client.background.stop()
        assert not client.status().background.running
        assert client.status().last_sync.result is Result.INTERRUPTED
    assert silent.hung_up.wait(AT_MOST)
    assert silent.left > 0  # it was no deadline that ended the call


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


def test_a_budget_that_is_always_too_short_makes_a_device_come_more_and_more_rarely(client, remote, clock):
    time, at = clock(40), []
    client.events.subscribe(lambda event: at.append(time.now) if isinstance(event, Joined) else None)

    def take_long():
        time.now += 61

    client._core.engine = Steps(take_long)
    run(client, time, round_budget=timedelta(seconds=60))
    pauses = [after - before for before, after in pairwise(at)]
    assert len(pauses) > 3
    for number, pause in enumerate(pauses):
        assert pause >= LEAST_BACKOFF * 2**number / 2
    assert remote.names().count("report_failure") == len(at)  # none of the places was lost to others
