"""The server's view: the contributions of watched clients, with the checkpoints from which they began.

It is taken from a state in which nothing more is learned (`still`), while the batched engine trains (`Watching`), or
from the recording of a fleet's coordinator (`recording.Recorded`).
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
    """The secrets of a round's clients, in the order of `Seen.clients`.

    Attributes:
        secrets: by adversary.
        touched: computes True for the items among a client's samples, bool (n, items).
    """

    secrets: dict[str, Secrets]
    touched: Callable[[], NDArray[np.bool_]]


_MOST_CACHED = 2**26
"""Most numbers of contributions that are cached instead of being computed again for every attack."""

Sink = Callable[[Seen, Hidden], None]
"""Takes every round with its secrets."""


@dataclass(frozen=True, eq=False)
class Watch:
    """The clients that are watched.

    Attributes:
        population: theirs.
        members: their numbers, increasing; `Seen.clients` has their places here.
        others: public users, whom attackers know of.
        public: states and labels of these users, by adversary; empty where no attack needs them.
    """

    population: Population
    members: Members
    others: Members = field(default_factory=lambda: np.zeros(0, np.int64))
    public: Mapping[str, Public] = field(default_factory=dict)

    def learn(self, task: Task, round_number: int) -> None:
        """Brings the states of public users up to the beginning of a round."""
        if self.public:
            for name, public in known(task, self.population, self.others, round_number).items():
                self.public[name].states = public.states

    def look(self, task: Task, present: Members, round_number: int) -> tuple[Seen, Hidden]:
        """Computes a round of some of them, as their devices would; their state stays as it is.

        Args:
            task: manifest and checkpoint.
            present: members of the population, all watched.
            round_number: the round's.
        """
        observed = observe(task, list(task.manifest.plan.adversaries), self.population, present, round_number)

        def compute() -> Iterator[Contribution]:
            for member in present.tolist():
                yield self.population.contribution(task, round_number, member)

        cached: list[Contribution] = []

        def contributions() -> Iterable[Contribution]:
            if len(present) * _numbers(task) > _MOST_CACHED:
                return compute()
            cached.extend(() if cached else compute())
            return cached

        def touched() -> NDArray[np.bool_]:
            out = np.zeros((len(present), task.manifest.items), np.bool_)
            cohort = self.population.cohort(task.manifest, round_number, present)
            for row, steps in zip(out, cohort.samples, strict=True):
                for step in steps:
                    row[step.items] = True
            return out

        seen = Seen(round_number, task, self.places(present), observed.uploads, contributions)
        return seen, Hidden(observed.secrets, touched)

    def places(self, members: Members) -> Members:
        """The places of members of the population among the watched ones."""
        return np.searchsorted(self.members, members)

    def present(self, members: Members) -> Members:
        """The watched ones among some members of the population, increasing."""
        return np.intersect1d(members, self.members)


def known(task: Task, population: Population, others: Members, round_number: int) -> dict[str, Public]:
    """The states and labels of users that are not watched, by adversary. Adversaries that lack a class are left out.

    Args:
        task: manifest and checkpoint.
        population: the clients.
        others: numbers of the users; all of their attributes are known.
        round_number: round for which sampled parts of a state are drawn.
    """
    adversaries = list(task.manifest.plan.adversaries)
    if not adversaries or not len(others):
        return {}
    secrets = observe(task, adversaries, population, others, round_number).secrets
    return {
        adversary.name: Public(secrets[adversary.name].states.numpy(), secrets[adversary.name].labels.numpy())
        for adversary in adversaries
        if len(torch.unique(secrets[adversary.name].labels)) == len(adversary.classes)
    }


def _numbers(task: Task) -> int:
    """Numbers of a contribution's dense tensors."""
    tensors = {**task.shared, **task.adversary}
    return sum(value.numel() for name, value in tensors.items() if name not in task.tables)


def still(watch: Watch, task: Task, rounds: Sequence[int], sink: Sink) -> None:
    """Lets all watched clients take part in some rounds, all of them on the same checkpoint and state."""
    for number in rounds:
        sink(*watch.look(task, watch.members, number))


class Watching(WrappedEngine):
    """An engine that is watched while it trains; a `RoundEngine`.

    Args:
        engine: trains, from round 0 on.
        task: the manifest.
        watch: the watched clients.
        sink: is shown each round in which any of them takes part.
    """

    def __init__(self, engine: RoundEngine, task: TaskManifest, watch: Watch, sink: Sink) -> None:
        super().__init__(engine)
        self._manifest, self._watch, self._sink = task, watch, sink
        self._round = 0

    def train_round(self, members: Members) -> RoundReport:
        """Looks at the watched clients of a cohort, and then trains the cohort."""
        present = self._watch.present(members)
        if len(present):
            task = Task.load(self._manifest, self._engine.checkpoint)
            self._watch.learn(task, self._round)
            self._sink(*self._watch.look(task, present, self._round))
        self._round += 1
        return self._engine.train_round(members)
