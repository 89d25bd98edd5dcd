"""Kills coordinators that share a ledger, stops their leader, and kills their database, while a fleet works."""

import random
import signal
import time
from dataclasses import dataclass

from tests.durability.runs import Run

_PATIENCE = 120


@dataclass(frozen=True)
class Plan:
    """How often who is killed, by SIGKILL, and how often a leader is stopped for longer than its lease."""

    coordinators: int = 0
    database: int = 0
    pauses: int = 0
    seed: int = 0

    def events(self):
        """The events, in an order that is drawn from the seed."""
        events = ["coordinator"] * self.coordinators + ["database"] * self.database + ["pause"] * self.pauses
        random.Random(f"kills/{self.seed}").shuffle(events)
        return events


class Kills(Run):
    """A run with kills. `server` is the database's."""

    def __init__(self, fleet, replicas, task_id, plan, server):
        super().__init__(fleet, replicas, task_id, plan.events(), plan.seed)
        self._server = server

    def coordinator(self):
        """Kills a coordinator, two times of three the leader; every fourth time before another has taken over."""
        leader = self.replicas.leader()
        chosen = self._rng.choice(self.replicas.members) if leader is None or self._rng.random() < 0.33 else leader
        if not chosen.alive:
            return self.coordinator()
        killed = chosen.child
        chosen.end(signal.SIGKILL)
        chosen.lose_disk()
        self.figures.events[f"{'leaders' if chosen is leader else 'stand-bys'} killed"] += 1
        if chosen is leader and self._rng.random() < 0.75:
            self.time_takeover(killed)
        self.replicas.supervise()
        return None

    def database(self):
        """Kills the database."""
        self._server.kill()
        self._server.start()
        self.figures.events["kills of the database"] += 1

    def pause(self):
        """Stops the leader until another leads, and then lets it go on: it must end, and write nothing."""
        leader = self.replicas.await_leader()
        stopped = leader.child
        stopped.send_signal(signal.SIGSTOP)
        self.time_takeover(stopped)
        time.sleep(self._rng.uniform(0, 0.5))
        stopped.send_signal(signal.SIGCONT)
        assert stopped.wait(_PATIENCE) == 1
        assert "no longer leads" in leader.log.read_text()
        self.figures.events["leaders stopped for too long"] += 1
