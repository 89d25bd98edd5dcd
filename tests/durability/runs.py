"""One run of a fleet against several coordinators, with events that are spread over its rounds."""

import multiprocessing
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from tests.durability import devices
from tests.durability.audit import postgres_books
from tests.durability.sessions import Watched

_LOOK = 0.02
_PATIENCE = 120


@dataclass
class Figures:
    """What happened in a run."""

    events: Counter = field(default_factory=Counter)
    takeovers: list = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self):
        events = ", ".join(f"{count} {name}" for name, count in self.events.most_common())
        took = sorted(self.takeovers)
        text = f"; another led {took[len(took) // 2]:.2f} s later, {took[-1]:.2f} s at most" if took else ""
        return f"{self.seconds:.0f} s; {events or 'nothing'}{text}"


class Run:
    """A run that nothing disturbs. A subclass has a method for each kind of event.

    Args:
        fleet: the devices.
        replicas: the coordinators.
        task_id: of the task.
        events: what happens, in this order: names of methods.
        seed: of the moments.
    """

    def __init__(self, fleet, replicas, task_id, events=(), seed=0):
        self._fleet, self.replicas, self._task_id = fleet, replicas, task_id
        self._events, self._rng = events, random.Random(f"replicas/{seed}")
        self.figures = Figures()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([devices.__name__])

    def run(self):
        """The whole run; leaves no process behind, however it ends."""
        began, workers = time.monotonic(), []
        try:
            self.replicas.supervise()
            self.replicas.await_leader()
            for number in range(self._fleet.workers):
                arguments = (self._fleet, number, 0, self.replicas.addresses, self._task_id, Watched)
                workers.append(self._context.Process(target=devices.work, args=arguments))
                workers[-1].start()
            for number, event in enumerate(self._events):
                self._wait(self._fleet.rounds * number / len(self._events))
                getattr(self, event)()
            while any(worker.is_alive() for worker in workers):
                self.replicas.supervise()
                time.sleep(_LOOK)
            assert [worker.exitcode for worker in workers] == [0] * len(workers)
            self.replicas.stop()
        finally:
            for worker in workers:
                worker.kill()
                worker.join()
            self.replicas.abandon()
        self.figures.seconds = time.monotonic() - began
        return self.figures

    def time_takeover(self, former):
        """Waits until another one leads than this process, and notes the time."""
        began = time.monotonic()
        self.replicas.await_leader(other_than=former)
        self.figures.takeovers.append(time.monotonic() - began)

    def _wait(self, rounds):
        """Waits until so many rounds are committed, and a moment more."""
        end = time.monotonic() + _PATIENCE
        while self._committed() < int(rounds):
            assert time.monotonic() < end, "no round ends"
            self.replicas.supervise()
            time.sleep(_LOOK)
        time.sleep(self._rng.uniform(0, 0.7))
        self.replicas.supervise()

    def _committed(self):
        with suppress(psycopg.Error), postgres_books(self.replicas.url) as ledger:
            return ledger.newest()[2]
        return -1
