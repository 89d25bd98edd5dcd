"""Attacks over rounds: each is shown what it needs, and asked after as many participations as are wanted."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.task_pb2 import Adversary, TaskManifest
from simulator.attacks.contract import Attack, Learns, Public, Seen, Setting, Spec
from simulator.audit import scores
from simulator.audit.census import Census, Facts
from simulator.audit.scores import Score
from simulator.audit.view import Hidden
from simulator.errors import TooFewUsersError


@dataclass(frozen=True)
class Finding:
    """A row of the audit's table.

    Attributes:
        attack: its name.
        learns: what it is after.
        adversary: name of the one that was attacked; empty where none was.
        participations: of each client that the attack has seen; 0: it needs none.
        score: how well it did.
        seconds: of the processor, for everything up to here.
    """

    attack: str
    learns: str
    adversary: str
    participations: int
    score: Score
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        own = {name: value for name, value in vars(self).items() if name != "score"}
        return {**own, **vars(self.score)}


@dataclass(eq=False)
class _Running:
    """An attack with what it has been asked so far, by participations: clients' guesses and the truth."""

    spec: Spec
    adversary: Adversary | None
    attack: Attack
    asked: Sequence[int]
    guesses: dict[int, list[NDArray[Any]]] = field(default_factory=dict)
    truths: dict[int, list[NDArray[Any]]] = field(default_factory=dict)
    spent: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0


class Runner:
    """Runs attacks on what it is shown; `view.Sink`.

    Args:
        specs: the attacks.
        task: the manifest, whose every adversary is attacked.
        recorded: which items each watched client recorded, bool (clients, items).
        participations: after how many to ask.
        public: by adversary, what attackers know of other users.
        seed: of attacks and scores.
        splits: of attackers that learn.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        task: TaskManifest,
        recorded: NDArray[np.bool_],
        participations: Sequence[int],
        public: Mapping[str, Public],
        seed: int,
        splits: int,
    ) -> None:
        self._recorded, self._seed, self._splits = recorded, seed, splits
        self._counts = np.zeros(len(recorded), np.int64)
        self._running: list[_Running] = []
        self._unreached: set[int] = set()
        self._census, self._seconds = Census(task.plan), 0.0
        made: dict[tuple[Any, str], Attack] = {}
        for spec in specs:
            for each in spec.targets(task):
                asked, name = spec.asked(participations), each.name if each else ""
                if not spec.runs(task, each) or not asked or (spec.public and name not in public):
                    continue
                setting = Setting(len(recorded), task, each, seed, public.get(name))
                # Attacks that differ in how they are scored alone are one at work.
                if (spec.make, name) not in made:
                    made[spec.make, name] = spec.make(setting)
                self._running.append(_Running(spec, each, made[spec.make, name], asked))

    @property
    def rounds(self) -> int:
        """Participations of a client after which nothing more is asked."""
        return max((max(each.asked) for each in self._running), default=0)

    def __call__(self, seen: Seen, hidden: Hidden) -> None:
        """Takes a round in."""
        self._counts[seen.clients] += 1
        counts = self._counts[seen.clients]
        self._census.see(seen, hidden, counts == 1)
        shown: set[int] = set()
        for each in self._running:
            wanted = counts <= max(each.asked)
            if not wanted.any():
                continue
            started = time.process_time()
            part = seen.of(wanted)
            if id(each.attack) not in shown:
                each.attack.see(part)
                shown.add(id(each.attack))
            for participations in each.asked:
                reached = counts == participations
                if reached.any():
                    self._ask(each, participations, seen, hidden, reached)
            spent = time.process_time() - started
            each.seconds += spent
            self._seconds += spent
            for participations in each.asked:
                if (counts == participations).any():
                    each.spent[participations] = each.seconds

    def _ask(self, each: _Running, participations: int, seen: Seen, hidden: Hidden, reached: NDArray[np.bool_]) -> None:
        clients = seen.clients[reached]
        each.guesses.setdefault(participations, []).append(each.attack.guess(clients))
        truth = self._truth(each, seen, hidden)[reached]
        each.truths.setdefault(participations, []).append(truth)

    def _truth(self, each: _Running, seen: Seen, hidden: Hidden) -> NDArray[Any]:
        learns = each.spec.learns
        if learns is Learns.TOUCHED:
            return hidden.touched()
        if each.adversary is None:
            return np.asarray(self._recorded[seen.clients])
        secrets = hidden.secrets[each.adversary.name]
        of = {Learns.STATE: secrets.states, Learns.GATE: secrets.triggered}
        return np.asarray(of.get(learns, secrets.labels).numpy())

    def findings(self, tell: Callable[[str], None] = lambda text: None) -> list[Finding]:
        """A row for each attack, adversary and number of participations that enough clients reached to score it.

        Args:
            tell: is told each attack's name before it is scored, since attackers that learn take long.
        """
        found = []
        self._unreached = {participations for each in self._running for participations in each.asked}
        for each in self._running:
            tell(each.spec.name)
            for participations in sorted(each.guesses):
                started = time.process_time()
                try:
                    score = self._score(each, participations)
                except TooFewUsersError:
                    continue
                self._unreached.discard(participations)
                spent = time.process_time() - started
                self._seconds += spent
                seconds = each.spent[participations] + spent
                name = each.adversary.name if each.adversary else ""
                found.append(Finding(each.spec.name, each.spec.learns.value, name, participations, score, seconds))
        return found

    def facts(self, further_seconds: float = 0.0) -> Facts:
        """What is noted of the watched clients and of the searches, once there are findings.

        Args:
            further_seconds: of the processor, of attacks elsewhere.
        """
        matched: dict[str, dict[str, float]] = {}
        for each in self._running:
            if each.adversary and len(each.attack.converged):
                matched.setdefault(each.spec.name, {})[each.adversary.name] = float(each.attack.converged.mean())
        return self._census.facts(matched, sorted(self._unreached), self._seconds + further_seconds)

    def _score(self, each: _Running, participations: int) -> Score:
        guess = np.concatenate(each.guesses[participations])
        truth = np.concatenate(each.truths[participations])
        classes = len(each.adversary.classes) if each.adversary else 2
        if each.spec.learns is Learns.FEATURES:
            return scores.learned(guess, truth, each.spec.attacker, classes, self._splits, self._seed)
        return scores.score(each.spec.learns, guess, truth, classes, self._seed)
