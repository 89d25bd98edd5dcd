"""Every executor, with any number of workers, and after workers were lost, gives the same bytes."""

import os
import signal
from contextlib import suppress
from multiprocessing import Pipe
from threading import Thread

import numpy as np
import pytest

from client_sdk.errors import NoDataError
from simulator.engines.chunks import Round
from simulator.engines.executors import dispatch, processes
from simulator.engines.executors.dispatch import Dispatcher
from simulator.engines.executors.keeper import Order
from simulator.engines.executors.threads import Threads
from simulator.errors import ExecutorError
from simulator.unlearning.baselines import Noise
from tests.simulator.engines.executors.conftest import Trial
from tests.simulator.engines.executors.in_process import InProcess

KINDS = {
    "fedncf": {},
    "two steps": {"local__steps": 2},
    "clipped": {"server__clip_norm": 0.1},
    "covered": {"local__cover_rows": 0.5},
}


def in_process(crew):
    return lambda job, population, workers: Dispatcher(crew, job, population, workers)


def bytes_of(start, workers, kind, model="fedncf"):
    return Trial(workers, start, model, **KINDS[kind]).digest()


@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_threads_and_of_workers_that_keep_columns_give_the_same_bytes(kind):
    single = bytes_of(Threads, 1, kind)
    assert bytes_of(Threads, 3, kind) == single
    for workers in (1, 2, 5):
        assert bytes_of(in_process(InProcess()), workers, kind) == single


@pytest.mark.parametrize("model", ["fedrap", "fedvae"])
def test_other_recommenders_too(model):
    single = bytes_of(Threads, 1, "fedncf", model)
    assert bytes_of(in_process(InProcess()), 2, "fedncf", model) == single


def test_processes_give_the_same_bytes_though_one_was_killed_in_mid_round(start_processes):
    single = bytes_of(Threads, 1, "fedncf")

    def killing(job, population, workers):
        executor = start_processes(job, population, workers)
        send = executor._workers[1].send

        def then_die(now, order):
            send(now, order)
            if now.number == 1:
                os.kill(executor._workers[1].child.process.pid, signal.SIGKILL)

        executor._workers[1].send = then_die
        return executor

    assert bytes_of(killing, 2, "fedncf") == single


@pytest.mark.parametrize("when", ["when it is sent an order", "before it answers", "while it is starting"])
def test_a_worker_that_is_lost_at_any_moment_costs_no_byte(when):
    single = bytes_of(Threads, 1, "fedncf")
    crew = InProcess(lost=when)
    assert bytes_of(in_process(crew), 2, "fedncf") == single
    assert crew.started == (2 if when == "while it is starting" else 3)


def test_an_order_holds_few_clients_so_that_a_slow_worker_is_not_taken_for_lost(monkeypatch):
    single, whole = bytes_of(Threads, 1, "fedncf"), InProcess()
    assert bytes_of(in_process(whole), 2, "fedncf") == single
    monkeypatch.setattr(dispatch, "CLIENTS", 1)
    crew = InProcess()
    assert bytes_of(in_process(crew), 2, "fedncf") == single
    assert crew.orders > whole.orders
    assert crew.largest < whole.largest


def test_a_worker_that_hangs_is_taken_for_lost(monkeypatch):
    monkeypatch.setattr(dispatch, "PATIENCE", 0.0)
    single = bytes_of(Threads, 1, "fedncf")
    assert bytes_of(in_process(InProcess(lost="hanging")), 2, "fedncf") == single


def test_chunks_that_lose_every_worker_and_workers_that_never_start_end_the_run(monkeypatch):
    with pytest.raises(ExecutorError, match=r"3 workers were lost one after another with the same \d+ clients"):
        bytes_of(in_process(InProcess(lost="always")), 1, "fedncf")
    monkeypatch.setattr(dispatch, "PATIENCE", 0.0)
    with pytest.raises(ExecutorError, match="no worker has been ready"):
        bytes_of(in_process(InProcess(lost="never ready")), 2, "fedncf")


def test_an_error_of_training_in_a_process_is_its_answer():
    trial = Trial(1, Threads)
    trial.population.interactions[3] = np.zeros(0, np.int64)
    ours, theirs = Pipe()

    def serve():
        with suppress(EOFError):  # this end is closed
            processes._serve(theirs, trial.engine._job, lambda: None)

    serving = Thread(target=serve)
    serving.start()
    members = np.array([3])
    order = Order([members], members, trial.population.clients(trial.engine._job.manifest, members))
    ours.send((Round(0, trial.engine.checkpoint, Noise(0)), order))
    assert isinstance(ours.recv(), NoDataError)
    ours.close()
    serving.join()


def test_columns_travel_once_unless_something_else_changes_them():
    crew = InProcess()
    trial = Trial(2, in_process(crew), "fedncf")
    everyone = np.arange(30)
    trial.engine.train_round(everyone)
    assert crew.brought == 30
    trial.engine.train_round(everyone)
    assert crew.brought == 30
    trial.engine._noise = Noise(0, private={"user_gmf": 0.1})
    trial.engine.train_round(everyone)
    trial.engine.train_round(everyone)
    assert crew.brought == 60


@pytest.mark.parametrize("private", [{}, {"user_gmf": 0.5}])
def test_noise_on_private_state_reaches_the_workers(private):
    digests = []
    for start in (Threads, in_process(InProcess())):
        trial = Trial(2, start, "fedncf")
        trial.engine._noise = Noise(0, private=private)
        digests.append(trial.digest())
    assert digests[0] == digests[1]
