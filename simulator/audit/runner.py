"""Runs attacks over rounds: shows them rounds, and takes their guesses after the requested participations."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.task_pb2 import Adversary, TaskManifest
from simulator.attacks.aims import Learns
from simulator.attacks.contract import Attack, Public, Seen, Setting, Spec
from simulator.audit import scores
from simulator.audit.census import Census, Facts
from simulator.audit.scores import Score
from simulator.audit.view import Hidden
from simulator.errors import TooFewUsersError
from simulator.evaluation import attackers
from simulator.experiment.attack_progress import UNSEEN, Splits


@dataclass(frozen=True)
class Finding:
    """A row of the audit's table.

    Attributes:
        attack: its name.
        learns: its aim.
        adversary: name of the adversary that was attacked; empty for the recommender's tensors.
        participations: number of each client's participations that the attack has seen; 0 if it needs none.
        score: its score.
        seconds: processor time up to this guess.
    """

    attack: str
    learns: str
    adversary: str
    participations: int
    score: Score
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        values = {name: value for name, value in vars(self).items() if name != "score"}
        return {**values, **vars(self.score)}


@dataclass(eq=False)
class _Running:
    """An attack on one target, with its guesses for clients and the truth, by participations."""

    spec: Spec
    adversary: Adversary | None
    attack: Attack
    participations: Sequence[int]
    guesses: dict[int, list[NDArray[Any]]] = field(default_factory=dict)
    truths: dict[int, list[NDArray[Any]]] = field(default_factory=dict)
    spent: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0


class Runner:
    """Runs attacks on what it is shown; `view.Sink`.

    Args:
        specs: the attacks.
        task: the manifest; all of its adversaries are attacked.
        recorded: True for the items that a watched client recorded, bool (clients, items).
        participations: numbers of participations after which attacks guess.
        public: users that attackers know of, by adversary.
        seed: seed of attacks and scores.
        splits: splits of attackers that learn.
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
            counts = spec.asked(participations)
            for target in spec.targets(task):
                name = target.name if target else ""
                if not spec.runs(task, target) or not counts or (spec.public and name not in public):
                    continue
                setting = Setting(len(recorded), task, target, seed, public.get(name))
                # Attacks that differ only in their score share one object.
                if (spec.make, name) not in made:
                    made[spec.make, name] = spec.make(setting)
                self._running.append(_Running(spec, target, made[spec.make, name], counts))

    @property
    def rounds(self) -> int:
        """Participations of a client after which no attack guesses again."""
        return max((max(running.participations) for running in self._running), default=0)

    def __call__(self, seen: Seen, hidden: Hidden) -> None:
        """Takes a round in."""
        self._counts[seen.clients] += 1
        counts = self._counts[seen.clients]
        self._census.see(seen, hidden, counts == 1)
        informed: set[int] = set()
        for running in self._running:
            unfinished = counts <= max(running.participations)
            if not unfinished.any():
                continue
            started = time.process_time()
            part = seen.of(unfinished)
            if id(running.attack) not in informed:
                running.attack.see(part)
                informed.add(id(running.attack))
            for participations in running.participations:
                reached = counts == participations
                if reached.any():
                    self._guess(running, participations, seen, hidden, reached)
            spent = time.process_time() - started
            running.seconds += spent
            self._seconds += spent
            for participations in running.participations:
                if (counts == participations).any():
                    running.spent[participations] = running.seconds

    def _guess(
        self, running: _Running, participations: int, seen: Seen, hidden: Hidden, reached: NDArray[np.bool_]
    ) -> None:
        clients = seen.clients[reached]
        running.guesses.setdefault(participations, []).append(running.attack.guess(clients))
        truth = self._truth(running, seen, hidden)[reached]
        running.truths.setdefault(participations, []).append(truth)

    def _truth(self, running: _Running, seen: Seen, hidden: Hidden) -> NDArray[Any]:
        learns = running.spec.learns
        if learns is Learns.TOUCHED:
            return hidden.touched()
        if running.adversary is None:
            return np.asarray(self._recorded[seen.clients])
        secrets = hidden.secrets[running.adversary.name]
        of = {Learns.STATE: secrets.states, Learns.GATE: secrets.triggered}
        return np.asarray(of.get(learns, secrets.labels).numpy())

    @property
    def parts(self) -> int:
        """Scores that `findings` computes. One of an attacker that learns counts as often as it has splits."""
        return sum(self._splits_of(running) * len(running.guesses) for running in self._running)

    def _splits_of(self, running: _Running) -> int:
        return attackers.trials(self._splits) if running.spec.learns is Learns.FEATURES else 1

    def findings(self, counted: Splits = UNSEEN) -> list[Finding]:
        """Scores every attack on every target after all numbers of participations that enough clients reached.

        Args:
            counted: receives the splits of attackers that learn, since these take long, and the other scores.
        """
        findings = []
        self._unreached = {count for running in self._running for count in running.participations}
        for running in self._running:
            for participations in sorted(running.guesses):
                started = time.process_time()
                counted.begin(running.spec.name, self._splits_of(running))
                try:
                    score = self._score(running, participations, counted)
                except TooFewUsersError:
                    continue
                self._unreached.discard(participations)
                spent = time.process_time() - started
                self._seconds += spent
                seconds = running.spent[participations] + spent
                name, spec = running.adversary.name if running.adversary else "", running.spec
                findings.append(Finding(spec.name, spec.learns.value, name, participations, score, seconds))
        counted.end()
        return findings

    def facts(self, further_seconds: float = 0.0) -> Facts:
        """Facts on the watched clients and on the searches, once there are findings.

        Args:
            further_seconds: processor time of attacks elsewhere.
        """
        matched: dict[str, dict[str, float]] = {}
        for running in self._running:
            adversary, converged = running.adversary, running.attack.converged
            if adversary and len(converged):
                matched.setdefault(running.spec.name, {})[adversary.name] = float(converged.mean())
        return self._census.facts(matched, sorted(self._unreached), self._seconds + further_seconds)

    def _score(self, running: _Running, participations: int, counted: Splits) -> Score:
        guess = np.concatenate(running.guesses[participations])
        truth = np.concatenate(running.truths[participations])
        classes = len(running.adversary.classes) if running.adversary else 2
        if running.spec.learns is Learns.FEATURES:
            how = (running.spec.attacker, classes, self._splits, self._seed, counted.split)
            return scores.learned(guess, truth, *how)
        return scores.score(running.spec.learns, guess, truth, classes, self._seed)
