"""A task with an open round, as the event loop drives it."""

from coordinator.model.admission import VersionRange
from coordinator.model.pace import Pace
from coordinator.model.round_machine import RoundMachine
from coordinator.model.task import TaskSpec


class OpenTask:
    """A task that is running or paused. The task's row, which is stored, is not kept here.

    Args:
        task_id: the task.
        population: the devices that the task is for.
        spec: the task's fixed rules.
        versions: versions of the SDK that may take part.
        round: the open round.

    Attributes:
        pace: when the task's devices come back.
        held: the open round is the last one, because a successor waits; the next takes nobody. May be set.
        round_key: a `SignedRoundKey`, serialised, to which the open round's contributions are sealed; empty: none yet.
        opening_error: why the last call to the unmasker failed, or that it is not answered yet; empty: neither. May be
            set.
    """

    def __init__(
        self, task_id: str, population: str, spec: TaskSpec, versions: VersionRange, round: RoundMachine
    ) -> None:
        self.task_id = task_id
        self.population = population
        self.spec = spec
        self.versions = versions
        self.round = round
        self.held = False
        self.round_key = b""
        self.opening_error = ""
        self.pace = Pace(spec.rule, max(1, spec.manifest.plan.minimum_separation))

    def next_round(self, at: float) -> None:
        """Opens the next round after the commit of one that was closed at `at`, in seconds."""
        self.pace.committed(self.round, at)
        # The round that a successor waits for takes nobody: a few late contributions would keep it from closing.
        leases = None if self.held else self.round.outliving()
        self.round = RoundMachine(self.spec.rule, self.round.number + 1, at, leases=leases, paused=self.round.paused)
        self.round.held = self.held
        self.round_key = b""

    def unlock(self, key: bytes) -> None:
        """Gives the open round its key, a `SignedRoundKey`, serialised."""
        self.round_key, self.round.locked = key, False

    def begin_anew(self, attempt: int, at: float) -> None:
        """Begins the open round anew at `at`, in seconds, without its assignments, as its next attempt."""
        self.round = RoundMachine(self.spec.rule, self.round.number, at, attempt, paused=self.round.paused)
        self.round.held = self.held
        self.round_key = b""
