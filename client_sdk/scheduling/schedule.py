"""Decides what background work does next: pure functions of the clock, the device's state and the pace."""

from dataclasses import dataclass, fields
from datetime import datetime

from client_sdk.errors import UsageError
from client_sdk.scheduling.pace import Pace

POLL = 60.0
"""Seconds between two checks of a device that does not meet the constraints."""
NAP = 900.0
"""Longest sleep of background work in seconds, so that a change of the clock is noticed."""


@dataclass(frozen=True, kw_only=True)
class DeviceState:
    """A device at one moment, in WorkManager's terms. None: unknown, which meets no constraint.

    >>> DeviceState(charging=True, unmetered=True).charging
    True

    Attributes:
        unmetered: traffic costs nothing, as on most Wi-Fi networks.
        charging: on external power.
        idle: nobody has used it for a while.
        battery_not_low: more than 15 % of the battery is left.
        storage_not_low: the disk has space.
    """

    unmetered: bool | None = None
    charging: bool | None = None
    idle: bool | None = None
    battery_not_low: bool | None = None
    storage_not_low: bool | None = None


@dataclass(frozen=True)
class Constraints:
    """Conditions that the device must meet during background work, in WorkManager's terms; none by default.

    >>> constraints = Constraints(unmetered=True, charging=True)
    >>> constraints.unmet(DeviceState(charging=True))
    ('unmetered',)

    Raises:
        UsageError: a value is neither True nor False.

    Attributes:
        unmetered: as in `DeviceState`, as are the others.
    """

    unmetered: bool = False
    charging: bool = False
    idle: bool = False
    battery_not_low: bool = False
    storage_not_low: bool = False

    def __post_init__(self) -> None:
        for name, value in self._items():
            if not isinstance(value, bool):
                raise UsageError(f"{name} must be True or False, not {value!r}")

    @property
    def any(self) -> bool:
        """True if there is a constraint."""
        return any(value for _, value in self._items())

    def unmet(self, device: DeviceState) -> tuple[str, ...]:
        """Returns the names of the constraints that a device does not meet, or may not meet."""
        return tuple(name for name, required in self._items() if required and getattr(device, name) is not True)

    def _items(self) -> list[tuple[str, bool]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]


@dataclass(frozen=True)
class CheckInNow:
    """It is time for a check-in."""


@dataclass(frozen=True)
class Wait:
    """It is not yet time for a check-in.

    Attributes:
        seconds: time until the next check.
        unmet: constraints that are not met; empty if only the time has not come.
    """

    seconds: float
    unmet: tuple[str, ...] = ()


def decide(constraints: Constraints, device: DeviceState, pace: Pace, now: float) -> CheckInNow | Wait:
    """Decides what to do now, in seconds since 1970, with a device in this state."""
    if left := pace.wait(now):
        return Wait(min(left, NAP))
    if unmet := constraints.unmet(device):
        return Wait(POLL, unmet)
    return CheckInNow()


def over(constraints: Constraints, device: DeviceState, spent: float, budget: float) -> bool:
    """Returns True if a sync must stop, `spent` seconds after it began."""
    return spent >= budget or bool(constraints.unmet(device))


@dataclass(frozen=True)
class BackgroundStatus:
    """The state of background work at one moment.

    Attributes:
        running: True between start and stop.
        syncing: True while a check-in is under way.
        unmet: names of the constraints that it waits for.
        due: when it checks in next if the constraints are met then; None if it is not running.
    """

    running: bool
    syncing: bool
    unmet: tuple[str, ...]
    due: datetime | None
