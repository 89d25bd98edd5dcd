"""Several coordinators on one ledger in PostgreSQL, as a supervisor runs them, and a reaper of all that takes part."""

import multiprocessing
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from coordinator.store import lease
from tests.durability import devices
from tests.durability.audit import postgres_books
from tests.durability.server import free_port

LEASE = 2
"""Seconds."""

_LOOK = 0.02
_PATIENCE = 120


class Replica:
    """`fedau2-coordinator serve` as one of several, always on the same ports.

    Args:
        objects: URL of the object store that they share; None: they share a folder.
    """

    def __init__(self, folder: Path, number: int, url: str, objects: str | None = None):
        self.devices, self.admin, self.peer = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.log, self.child = folder / f"coordinator-{number}.log", None
        self._local = None if objects is None else folder / f"local-{number}"
        self._command = [sys.executable, "-m", "coordinator", "serve", "--state", self._local or folder / "shared"]
        self._command += [] if objects is None else ["--objects", objects]
        self._command += ["--database", url, "--listen", self.devices, "--admin", self.admin]
        self._command += ["--replica", self.peer, "--replica-lease", str(LEASE)]

    def start(self):
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=log)

    @property
    def alive(self):
        return self.child is not None and self.child.poll() is None

    def end(self, number):
        self.child.send_signal(number)
        return self.child.wait(_PATIENCE)

    def lose_disk(self):
        """Its machine vanishes, and it comes back on another one. A folder that is shared stays."""
        if self._local is not None:
            shutil.rmtree(self._local, ignore_errors=True)


class Replicas:
    """All coordinators of a ledger.

    Attributes:
        addresses: for devices and for operators, of all of them together.
    """

    def __init__(self, folder: Path, url: str, count: int, objects: str | None = None):
        self._url, self.folder = url, folder
        self.members = [Replica(folder, number, url, objects) for number in range(count)]
        listed = [",".join(getattr(member, name) for member in self.members) for name in ("devices", "admin")]
        self.addresses = tuple(f"ipv4:{hosts}" for hosts in listed) if count > 1 else tuple(listed)

    def supervise(self):
        """Starts those that have ended."""
        for member in self.members:
            if not member.alive:
                member.start()

    def leader(self):
        """The one that leads, or None."""
        with suppress(psycopg.Error), psycopg.connect(self._url) as connection:
            query = lease._HOLDER.text.replace(":key", "%s")
            names = [name for (name,) in connection.execute(query, (lease._KEY,))]
            return next((member for member in self.members if member.peer in names and member.alive), None)
        return None

    def await_leader(self, other_than=None):
        """Waits until one leads whose process is another one, and returns it."""
        end = time.monotonic() + _PATIENCE
        while (leader := self.leader()) is None or leader.child is other_than:
            assert time.monotonic() < end, "nobody leads"
            self.supervise()
            time.sleep(_LOOK)
        return leader

    def create_task(self, bundle, *options):
        """Creates a task through some coordinator, and returns its id."""
        admin = self.members[-1].admin
        command = [sys.executable, "-m", "coordinator", "create-task", "--bundle", bundle, "--admin", admin]
        command += ["--population", devices.POPULATION, *map(str, options)]
        end = time.monotonic() + _PATIENCE
        while (done := subprocess.run(command, capture_output=True, text=True)).returncode:
            assert time.monotonic() < end, done.stderr
            time.sleep(0.1)
        return done.stdout.strip()

    def stop(self):
        for member in self.members:
            if member.alive:
                member.child.send_signal(signal.SIGTERM)
        for member in self.members:
            if member.child is not None:
                member.child.wait(_PATIENCE)

    def abandon(self):
        """Leaves no child behind."""
        for member in self.members:
            if member.alive:
                member.child.send_signal(signal.SIGCONT)
                member.end(signal.SIGKILL)

    def logs(self):
        return "".join(member.log.read_text() for member in self.members)


@dataclass(frozen=True)
class Plan:
    """How often who is killed, by SIGKILL, and how often a leader is stopped for longer than its lease."""

    coordinators: int = 0
    database: int = 0
    pauses: int = 0
    seed: int = 0


@dataclass
class Figures:
    """What happened in a run."""

    kills: Counter = field(default_factory=Counter)
    takeovers: list = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self):
        kills = ", ".join(f"{count} {name}" for name, count in self.kills.most_common())
        took = sorted(self.takeovers) or [0]
        text = f"another led {took[len(took) // 2]:.2f} s later, {took[-1]:.2f} s at most"
        return f"{self.seconds:.0f} s; {kills or 'nothing'} killed or stopped; {text}"


class Reaper:
    """One run of a fleet against several coordinators. The events of the plan are spread over its rounds."""

    def __init__(self, fleet, replicas, task_id, plan, server, url):
        self._fleet, self._replicas, self._task_id = fleet, replicas, task_id
        self._server, self._url, self._rng = server, url, random.Random(f"replicas/{plan.seed}")
        self._events = ["coordinator"] * plan.coordinators + ["database"] * plan.database + ["pause"] * plan.pauses
        self._rng.shuffle(self._events)
        self.figures = Figures()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([devices.__name__])

    def run(self):
        """The whole run; leaves no process behind, however it ends."""
        began, workers = time.monotonic(), []
        try:
            self._replicas.supervise()
            self._replicas.await_leader()
            for number in range(self._fleet.workers):
                arguments = (self._fleet, number, 0, self._replicas.addresses, self._task_id)
                workers.append(self._context.Process(target=devices.work, args=arguments))
                workers[-1].start()
            for number, event in enumerate(self._events):
                self._wait(self._fleet.rounds * number / len(self._events))
                getattr(self, f"_{event}")()
            while any(worker.is_alive() for worker in workers):
                self._replicas.supervise()
                time.sleep(_LOOK)
            assert [worker.exitcode for worker in workers] == [0] * len(workers)
            self._replicas.stop()
        finally:
            for worker in workers:
                worker.kill()
                worker.join()
            self._replicas.abandon()
        self.figures.seconds = time.monotonic() - began
        return self.figures

    def _wait(self, rounds):
        """Waits until so many rounds are committed, and a moment more."""
        end = time.monotonic() + _PATIENCE
        while self._committed() < int(rounds):
            assert time.monotonic() < end, "no round ends"
            self._replicas.supervise()
            time.sleep(_LOOK)
        time.sleep(self._rng.uniform(0, 0.7))
        self._replicas.supervise()

    def _committed(self):
        with suppress(psycopg.Error), postgres_books(self._url) as ledger:
            return ledger.newest()[2]
        return -1

    def _coordinator(self):
        """Kills a coordinator, two times of three the leader; every fourth time before another has taken over."""
        leader = self._replicas.leader()
        chosen = self._rng.choice(self._replicas.members) if leader is None or self._rng.random() < 0.33 else leader
        if not chosen.alive:
            return self._coordinator()
        killed = chosen.child
        chosen.end(signal.SIGKILL)
        chosen.lose_disk()
        self.figures.kills["leader" if chosen is leader else "stand-by"] += 1
        if chosen is leader and self._rng.random() < 0.75:
            self._time_takeover(killed)
        self._replicas.supervise()
        return None

    def _time_takeover(self, former):
        began = time.monotonic()
        self._replicas.await_leader(other_than=former)
        self.figures.takeovers.append(time.monotonic() - began)

    def _database(self):
        self._server.kill()
        self._server.start()
        self.figures.kills["database"] += 1

    def _pause(self):
        """Stops the leader until another leads, and then lets it go on: it must end, and write nothing."""
        leader = self._replicas.await_leader()
        stopped = leader.child
        stopped.send_signal(signal.SIGSTOP)
        self._time_takeover(stopped)
        time.sleep(self._rng.uniform(0, 0.5))
        stopped.send_signal(signal.SIGCONT)
        assert stopped.wait(_PATIENCE) == 1
        assert "no longer leads" in leader.log.read_text()
        self.figures.kills["paused leader"] += 1
