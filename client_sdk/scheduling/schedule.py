"""What background work does next: pure functions of the clock, the device's state and the pace of the syncs before."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from client_sdk.errors import UsageError
from client_sdk.scheduling.pace import Pace

POLL = 60.0
"""Seconds between two looks at a device that does not meet the constraints."""
NAP = 900.0
"""Seconds that background work sleeps at most, so that a clock that was set is noticed."""


@dataclass(frozen=True, kw_only=True)
class DeviceState:
    """A device at one moment, in WorkManager's terms. None: not known, which meets no constraint.

    Attributes:
        unmetered: traffic costs nothing, as on most Wi-Fi networks.
        charging: on external power.
        idle: nobody has used it for a while.
        battery_not_low: more than 15 % are left.
        storage_not_low: there is space.
    """

    unmetered: bool | None = None
    charging: bool | None = None
    idle: bool | None = None
    battery_not_low: bool | None = None
    storage_not_low: bool | None = None


@dataclass(frozen=True)
class Constraints:
    """What must hold of the device while background work goes on, in WorkManager's terms; nothing unless given.

    Raises:
        UsageError: one is neither True nor False.

    Attributes:
        unmetered: as in `DeviceState`, as are the others.
    """

    unmetered: bool = False
    charging: bool = False
    idle: bool = False
    battery_not_low: bool = False
    storage_not_low: bool = False

    def __post_init__(self) -> None:
        for name, value in self._each():
            if not isinstance(value, bool):
                raise UsageError(f"{name} must be True or False, not {value!r}")

    @property
    def any(self) -> bool:
        """Whether there is a constraint at all."""
        return any(value for _, value in self._each())

    def unmet(self, device: DeviceState) -> tuple[str, ...]:
        """Names of the constraints that a device does not meet, or may not."""
        return tuple(name for name, wanted in self._each() if wanted and getattr(device, name) is not True)

    def _each(self) -> list[tuple[str, bool]]:
        return [(each.name, getattr(self, each.name)) for each in fields(self)]


@dataclass(frozen=True)
class CheckInNow:
    """Time for a check-in."""


@dataclass(frozen=True)
class Wait:
    """Not yet.

    Attributes:
        seconds: look again after so many.
        unmet: constraints that are not met; empty where only the time has not come.
    """

    seconds: float
    unmet: tuple[str, ...] = ()


def decide(constraints: Constraints, device: DeviceState, pace: Pace, now: float) -> CheckInNow | Wait:
    """What to do at a time, in seconds since 1970, with a device that is in a state."""
    if left := pace.wait(now):
        return Wait(min(left, NAP))
    if unmet := constraints.unmet(device):
        return Wait(POLL, unmet)
    return CheckInNow()


def over(constraints: Constraints, device: DeviceState, spent: float, budget: float) -> bool:
    """Whether a sync under way must stop, `spent` seconds after it began."""
    return spent >= budget or bool(constraints.unmet(device))


@dataclass(frozen=True)
class BackgroundStatus:
    """What background work does at one moment.

    Attributes:
        running: started, and not stopped.
        syncing: a check-in is under way.
        unmet: the constraints that it waits for.
        due: when it checks in next if the constraints are met then; None where it is not running.
    """

    running: bool
    syncing: bool
    unmet: tuple[str, ...]
    due: datetime | None


def seconds(budget: timedelta | None) -> float:
    """A time budget in seconds; infinite where there is none.

    Raises:
        UsageError: it is no time.
    """
    if budget is None:
        return float("inf")
    if not isinstance(budget, timedelta) or budget <= timedelta(0):
        raise UsageError(f"round_budget must be a timedelta above 0, not {budget!r}")
    return budget.total_seconds()
