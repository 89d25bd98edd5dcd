"""The contract of an attack: it is shown rounds, one after another, and can guess at any time."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from client_sdk.kernel.training import Task
from fedau2.v1.task_pb2 import Adversary, TaskManifest
from fedau2.wire.contributions import Update
from simulator.attacks.aims import Learns
from simulator.attacks.uploads import Uploads
from simulator.population.population import Members

Contribution = Mapping[str, Update]

Hindrance = Callable[[TaskManifest, Adversary | None], str]
"""From a manifest and one of an attack's targets to the reason why there is nothing to attack; empty where there is."""


@dataclass(frozen=True, eq=False)
class Seen:
    """The server's view of some of the watched clients in one round.

    Attributes:
        round: the round's number.
        task: manifest, and the checkpoint from which the clients began.
        clients: numbers of the clients among the watched ones, increasing.
        uploads: the adversaries' part of the contributions, by adversary, rows in the order of `clients`.
        contributions: gives the whole contributions in the same order; it may be called repeatedly.
    """

    round: int
    task: Task
    clients: Members
    uploads: Mapping[str, Uploads]
    contributions: Callable[[], Iterable[Contribution]]

    def of(self, rows: NDArray[np.bool_]) -> "Seen":
        """Selects some of the clients, bool (n,), in the same round."""
        if rows.all():
            return self
        chosen = torch.from_numpy(np.flatnonzero(rows))
        uploads = {name: part.take(chosen) for name, part in self.uploads.items()}
        return Seen(
            self.round, self.task, self.clients[rows], uploads, lambda: compress(self.contributions(), rows.tolist())
        )


class Attack(ABC):
    """An attack on some watched clients, with what it has learned so far."""

    @abstractmethod
    def see(self, seen: Seen) -> None:
        """Takes a round in."""

    @abstractmethod
    def guess(self, clients: Members) -> NDArray[Any]:
        """Guesses for some clients, from all rounds so far; `Learns` says in which shape."""

    @property
    def converged(self) -> NDArray[np.bool_]:
        """True for the searches so far that converged, bool (searches,); empty for an attack that does not search."""
        return np.zeros(0, np.bool_)


@dataclass(frozen=True)
class Setting:
    """The setting for which an attack is made.

    Attributes:
        clients: number of watched clients.
        task: the manifest.
        adversary: the adversary that is attacked; None for an attack on the recommender's tensors.
        seed: of everything that the attacker draws.
        public: other users that the attacker knows of; None without such users.
    """

    clients: int
    task: TaskManifest
    adversary: Adversary | None = None
    seed: int = 0
    public: "Public | None" = None

    @property
    def target(self) -> Adversary:
        """The adversary that is attacked.

        Raises:
            ValueError: the attack was made without one.
        """
        if self.adversary is None:
            raise ValueError("this attack is on an adversary, and none was given")
        return self.adversary


@dataclass(eq=False)
class Public:
    """Users whose protected state and attribute the attacker knows; none of these users is attacked.

    Attributes:
        states: (users, width), as they are in the round that an attack is shown; replaced when users train on.
        labels: class numbers, (users,).
    """

    states: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Spec:
    """An attack of the registry.

    Attributes:
        name: as the command line and the report have it.
        learns: its aim.
        about: a line that describes it.
        make: sets it up.
        participations: the largest number of one client's contributions that it can combine.
        hindrance: gives the reason why there is nothing to attack, by the manifest and a target.
        gradients: True if it reads contributions as gradients; those of several local steps are not gradients.
        public: True if it learns from users who are not attacked.
        attacker: name of the attribute attacker that is set on what it reads; with `Learns.FEATURES` only.
    """

    name: str
    learns: Learns
    about: str
    make: Callable[[Setting], Attack]
    participations: int
    hindrance: Hindrance
    gradients: bool = True
    public: bool = False
    attacker: str = ""

    def targets(self, task: TaskManifest) -> list[Adversary | None]:
        """The adversaries of a task where it attacks these, else None for the recommender's own tensors."""
        return list(task.plan.adversaries) if self.learns.of_adversary else [None]

    def runs(self, task: TaskManifest, target: Adversary | None) -> bool:
        """Says whether it can be made on one of its targets."""
        return not self.hindrance(task, target) and (task.plan.local.steps == 1 or not self.gradients)

    def asked(self, participations: Sequence[int]) -> list[int]:
        """The numbers of participations after which it is asked, among those of a request."""
        counts = sorted(count for count in participations if count <= self.participations)
        # Attackers that learn take by far the longest.
        return [counts[0], counts[-1]][: len(set(counts))] if self.learns is Learns.FEATURES and counts else counts
