"""The content of a task's page, from the coordinator's answers."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from coordinator.dashboard import protection
from coordinator.dashboard.admin import Admin
from coordinator.dashboard.charts import Chart
from coordinator.dashboard.plots import plots
from coordinator.dashboard.protection import Setting
from coordinator.model import uncounted
from fedau2.v1 import admin_pb2
from fedau2.v1.admin_pb2 import Round, RoundState, Task, TaskState
from fedau2.v1.task_pb2 import TaskManifest

SHOWN = 200
"""Most rounds that are shown, the newest."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Outcomes:
    """Devices by what became of them.

    Attributes:
        completed: their contribution counts.
        dropped: they gave their place back, or their lease ran out.
        refused: their contribution was not counted by the unmasker.
    """

    completed: int
    dropped: int
    refused: int

    @classmethod
    def of(cls, rounds: Sequence[Round]) -> "Outcomes":
        """Adds up the devices of rounds."""
        return cls(
            sum(past.reported for past in rounds),
            sum(past.failed + past.expired for past in rounds),
            sum(past.refused for past in rounds),
        )


@dataclass(frozen=True)
class TaskView:
    """A task as its page shows it.

    Attributes:
        task: the task.
        rounds: its newest rounds, the oldest first, with the open one.
        settings: that decide what devices give away.
        hidden: it has secure sums.
    """

    task: Task
    rounds: Sequence[Round]
    settings: Sequence[Setting]
    hidden: bool

    @property
    def outcomes(self) -> Outcomes:
        """The devices of the rounds."""
        return Outcomes.of(self.rounds)

    @property
    def charts(self) -> list[Chart]:
        """The charts of the rounds."""
        return plots(self.task, self.rounds)

    @property
    def abandoned(self) -> int:
        """Attempts at these rounds that were given up."""
        return sum(past.attempt for past in self.rounds)

    def ended(self, state: str) -> int:
        """Returns how many of the rounds are in a state, for example "committed"."""
        return sum(round_state(past) == state for past in self.rounds)

    @property
    def waited(self) -> str:
        """Writes for how long the open round has waited for its sum, by this machine's clock."""
        return duration(time.time() - self.task.secure_sums.opening_since.ToMicroseconds() / 1e6)

    @property
    def many_refused(self) -> bool:
        """So many contributions of the open round were refused that an operator is to ask why."""
        refused = self.task.secure_sums.refused
        return uncounted.are_many(refused, self.task.reported + refused)

    @property
    def over(self) -> bool:
        """It is finished or stopped."""
        return self.task.state in (admin_pb2.TASK_STATE_FINISHED, admin_pb2.TASK_STATE_STOPPED)


async def of_task(admin: Admin, task_id: str) -> TaskView:
    """Asks for what the page of a task shows.

    Raises:
        CallError: the coordinator does not answer, or refuses a call.
    """
    task = await admin.task(task_id)
    rounds = await admin.rounds(task_id, max(0, task.round + 1 - SHOWN))
    manifest: TaskManifest = await admin.manifest(task)
    hidden = manifest.HasField("secure_sums")
    return TaskView(task, rounds, protection.settings(task, manifest), hidden)


def task_state(task: Task) -> str:
    """Returns the word for a task's state."""
    return TaskState.Name(task.state).removeprefix("TASK_STATE_").lower()


def round_state(past: Round | Task) -> str:
    """Returns the word for a round's state; of a task for that of its open round."""
    state = past.round_state if isinstance(past, Task) else past.state
    return RoundState.Name(state).removeprefix("ROUND_STATE_").lower()


def moment(stamp: Any) -> str:  # noqa: ANN401 - a Timestamp
    """Writes a time in UTC, to the second."""
    return datetime.fromtimestamp(stamp.seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def lasted(past: Round) -> str:
    """Writes how long the newest attempt at a round took; empty: it is not committed."""
    if not past.HasField("committed"):
        return ""
    return duration((past.committed.ToMicroseconds() - past.opened.ToMicroseconds()) / 1e6)


def duration(seconds: float) -> str:
    """Writes a time with the unit that fits."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{max(0.0, seconds):.1f} s"


def size(number: float) -> str:
    """Writes a number of bytes with a unit."""
    power = min(len(_UNITS) - 1, int(math.log10(max(number, 1))) // 3)
    return f"{number / 1000**power:.{min(power, 1)}f} {_UNITS[power]}"
