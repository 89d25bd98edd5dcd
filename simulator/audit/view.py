"""The server's view: what watched clients contribute, with the checkpoints that they began from.

It is taken from a state in which nothing more is learned (`still`), while the batched engine trains (`Watching`), or
from what the coordinator of a fleet has recorded (`recording.Recorded`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from client_sdk.kernel.training import Task
from fedau2.v1.task_pb2 import TaskManifest
from simulator.attacks.contract import Contribution, Public, Seen
from simulator.attacks.uploads import Secrets, observe
from simulator.engines.engine import RoundEngine, RoundReport, WrappedEngine
from simulator.population.population import Members, Population


@dataclass(frozen=True, eq=False)
class Hidden:
    """What the clients of a round keep to themselves, in the order of `Seen.clients`.

    Attributes:
        secrets: by adversary.
        touched: gives which items were among each client's samples, bool (n, items).
    """

    secrets: dict[str, Secrets]
    touched: Callable[[], NDArray[np.bool_]]


_KEPT = 2**26
"""Most numbers of contributions that are kept instead of being computed again for each attack."""

Sink = Callable[[Seen, Hidden], None]
"""Is shown each round with what is hidden in it."""


@dataclass(frozen=True, eq=False)
class Watch:
    """The clients that are watched.

    Attributes:
        population: theirs.
        members: who, increasing; their places here are what `Seen.clients` says.
        others: public users, whom attackers know of.
        public: what attackers know of them, by adversary; nothing where no attack wants it.
    """

    population: Population
    members: Members
    others: Members = field(default_factory=lambda: np.zeros(0, np.int64))
    public: Mapping[str, Public] = field(default_factory=dict)

    def learn(self, task: Task, round_number: int) -> None:
        """Brings what is known of public users up to what they have at the beginning of a round."""
        if self.public:
            for name, each in known(task, self.population, self.others, round_number).items():
                self.public[name].states = each.states

    def look(self, task: Task, present: Members, round_number: int) -> tuple[Seen, Hidden]:
        """A round of some of them, computed as their devices would; their state stays as it is.

        Args:
            task: manifest and checkpoint.
            present: members of the population, all watched.
            round_number: the round's.
        """
        found = observe(task, list(task.manifest.plan.adversaries), self.population, present, round_number)

        def compute() -> Iterator[Contribution]:
            for member in present.tolist():
                yield self.population.contribution(task, round_number, member)

        kept: list[Contribution] = []

        def contributions() -> Iterable[Contribution]:
            if len(present) * _numbers(task) > _KEPT:
                return compute()
            kept.extend(() if kept else compute())
            return kept

        def touched() -> NDArray[np.bool_]:
            out = np.zeros((len(present), task.manifest.items), np.bool_)
            cohort = self.population.cohort(task.manifest, round_number, present)
            for row, steps in zip(out, cohort.samples, strict=True):
                for step in steps:
                    row[step.items] = True
            return out

        seen = Seen(round_number, task, self.places(present), found.uploads, contributions)
        return seen, Hidden(found.secrets, touched)

    def places(self, members: Members) -> Members:
        """Where members of the population stand among those that are watched."""
        return np.searchsorted(self.members, members)

    def present(self, members: Members) -> Members:
        """Those of some members of the population that are watched, increasing."""
        return np.intersect1d(members, self.members)


def known(task: Task, population: Population, others: Members, round_number: int) -> dict[str, Public]:
    """What is known of users that are not watched, in the state given; of an adversary that lacks a class nothing.

    Args:
        task: manifest and checkpoint.
        population: the clients.
        others: who, all of whose attributes are known.
        round_number: for which what is sampled of a state is drawn.
    """
    adversaries = list(task.manifest.plan.adversaries)
    if not adversaries or not len(others):
        return {}
    secrets = observe(task, adversaries, population, others, round_number).secrets
    return {
        each.name: Public(secrets[each.name].states.numpy(), secrets[each.name].labels.numpy())
        for each in adversaries
        if len(torch.unique(secrets[each.name].labels)) == len(each.classes)
    }


def _numbers(task: Task) -> int:
    """Of a contribution's dense tensors."""
    tensors = {**task.shared, **task.adversary}
    return sum(value.numel() for name, value in tensors.items() if name not in task.tables)


def still(watch: Watch, task: Task, rounds: Sequence[int], sink: Sink) -> None:
    """All watched clients take part in each of some rounds, on the same checkpoint and state."""
    for number in rounds:
        sink(*watch.look(task, watch.members, number))


class Watching(WrappedEngine):
    """An engine that is watched while it trains; a `RoundEngine`.

    Args:
        engine: trains, from round 0 on.
        task: the manifest.
        watch: who is watched.
        sink: is shown each round in which any of them takes part.
    """

    def __init__(self, engine: RoundEngine, task: TaskManifest, watch: Watch, sink: Sink) -> None:
        super().__init__(engine)
        self._manifest, self._watch, self._sink = task, watch, sink
        self._round = 0

    def train_round(self, members: Members) -> RoundReport:
        """Trains a cohort, after its watched clients have been looked at."""
        present = self._watch.present(members)
        if len(present):
            task = Task.load(self._manifest, self._engine.checkpoint)
            self._watch.learn(task, self._round)
            self._sink(*self._watch.look(task, present, self._round))
        self._round += 1
        return self._engine.train_round(members)
