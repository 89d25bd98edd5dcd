"""Runs a fleet against a real coordinator, and kills both again and again."""

import multiprocessing
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.durability import devices, versions
from tests.durability.devices import Fleet
from tests.durability.server import Coordinator

_PATIENCE = 600
"""Seconds without an end after which something is wrong."""


@dataclass(frozen=True)
class Plan:
    """How often who is killed, by SIGKILL.

    Attributes:
        coordinator: kills of the coordinator.
        workers: kills of device processes.
        seconds_per_round: of an undisturbed run; a first guess at how long a life may be.
        seed: of the moments.
    """

    coordinator: int = 0
    workers: int = 0
    seconds_per_round: float = 0.3
    seed: int = 0


@dataclass
class Figures:
    """What happened in a run.

    Attributes:
        kills: of the coordinator, by what it was doing.
        worker_kills: kills of device processes.
        starts: seconds from each start to "serving", where it got that far.
        seconds: the whole run.
    """

    kills: Counter = field(default_factory=Counter)
    worker_kills: int = 0
    starts: list = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self):
        phases = ", ".join(f"{count} {phase}" for phase, count in self.kills.most_common())
        kills = f"{self.kills.total()} kills of the coordinator ({phases or 'none'})"
        return (
            f"{self.seconds:.0f} s; {kills} and {self.worker_kills} of device processes; "
            f"serving {median(self.starts):.2f} s after a start, {max(self.starts):.2f} s at most"
        )


def create(fleet: Fleet, bundle: Path, options, sources: Path = versions.HERE) -> str:
    """Makes a coordinator's state folder with a task, by the version with these sources, and returns the task's id."""
    coordinator = Coordinator(fleet.folder, sources=sources)
    coordinator.start()
    coordinator.await_serving()
    task_id = coordinator.create_task(bundle, devices.POPULATION, "--rounds", fleet.rounds, *options)
    coordinator.end(signal.SIGTERM)
    return task_id


class Reaper:
    """One run: starts coordinator and workers, kills them as planned, and waits until the devices are done."""

    def __init__(self, fleet: Fleet, task_id: str, plan: Plan, sources: Path = versions.HERE):
        self._fleet, self._plan, self.task_id = fleet, plan, task_id
        self._rng = random.Random(f"reaper/{plan.seed}")
        self._context = multiprocessing.get_context("forkserver")  # a worker starts without importing PyTorch again
        self._context.set_forkserver_preload([devices.__name__])
        self._workers = {}
        self._lives = Counter()
        self._uptime = 0.0
        self.figures = Figures()
        self.coordinator = Coordinator(fleet.folder, sources=sources)
        self._start()
        self.coordinator.end(signal.SIGTERM)

    def run(self):
        """The whole run; leaves no process behind, however it ends."""
        began = time.monotonic()
        try:
            for number in range(self._fleet.workers):
                self._spawn(number)
            for left in range(self._plan.coordinator, 0, -1):
                self._one_life(left)
            self._start()
            self._join()
            self.coordinator.end(signal.SIGTERM)
        finally:
            for worker in self._workers.values():
                worker.kill()
                worker.join()
            self.coordinator.abandon()
        self.figures.seconds = time.monotonic() - began
        return self.figures

    def _start(self):
        began = time.monotonic()
        self.coordinator.start()
        self.coordinator.await_serving()
        self.figures.starts.append(time.monotonic() - began)

    def _spawn(self, number):
        self._lives[number] += 1
        arguments = (self._fleet, number, self._lives[number], self.coordinator.addresses, self.task_id)
        self._workers[number] = self._context.Process(target=devices.work, args=arguments)
        self._workers[number].start()

    def _join(self):
        for worker in self._workers.values():
            worker.join(_PATIENCE)
            assert worker.exitcode == 0, f"a device process ended with {worker.exitcode}"

    def _one_life(self, left):
        """Starts the coordinator and kills it: while it starts, or at any moment after that."""
        orphans = self.coordinator.orphans()
        starting = self._rng.random() < 0.15
        if starting:
            self.coordinator.start()
            time.sleep(self._rng.uniform(0, self.figures.starts[0]))
        else:
            self._start()
            began = time.monotonic()
            self._live(left)
            self._uptime += time.monotonic() - began
        served = self.coordinator.end(signal.SIGKILL) or not starting
        self.figures.kills[self.coordinator.phase(orphans) if served else "while starting"] += 1

    def _live(self, left):
        """Lets time pass, so that the kills that are left spread over the rounds that are left; a worker may die."""
        done = self.coordinator.progress()
        seconds_per_round = (self._plan.seconds_per_round + self._uptime) / (1 + done)
        seconds = self._rng.uniform(0, 1.5 * seconds_per_round * (self._fleet.rounds - done) / left)
        if self._rng.random() < (self._plan.workers - self.figures.worker_kills) / left:
            before = self._rng.uniform(0, seconds)
            self._wait(before)
            self._kill_worker()
            seconds -= before
        self._wait(seconds)

    def _wait(self, seconds):
        """Sleeps; every second time no longer than until a commit is writing: commits are short and rare."""
        folder, end = self.coordinator.state / "blobs", time.monotonic() + seconds
        before, impatient = folder.stat().st_mtime_ns, self._rng.random() < 0.5
        while time.monotonic() < end:
            if impatient and folder.stat().st_mtime_ns != before:
                time.sleep(self._rng.uniform(0, 0.01))
                return
            time.sleep(0.001)

    def _kill_worker(self):
        number, worker = self._rng.choice(list(self._workers.items()))
        if worker.is_alive():
            worker.kill()
            worker.join()
            self.figures.worker_kills += 1
            self._spawn(number)
