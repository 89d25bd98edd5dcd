"""Pace steering: decides when devices are asked to come back.

Every device that is sent away gets the next free slot of a calendar. Slots follow each other at the rate at which
rounds can use devices. So a herd comes back evenly spread, while fewer devices than a round needs come back as soon as
it can use them. There is no clock, no I/O and no memory of devices: `now` (in seconds) is passed in.
"""

import math
from typing import NamedTuple

from google.protobuf.duration_pb2 import Duration

from coordinator.model.closing import Rule
from coordinator.model.leases import Answer
from coordinator.model.round_machine import RoundMachine
from fedau2.v1.admin_pb2 import ROUND_STATE_COLLECTING
from fedau2.v1.task_pb2 import RetryWindow

SOONEST = 1.0
"""Fewest seconds after which a device is asked back; also the most by which it may miss its slot."""

HORIZON = 86_400.0
"""Most seconds after which a device is asked back, however full the calendar is."""

IDLE = 60.0
"""Fewest seconds after which a device that nobody needs is asked back."""

IDLE_RATE = 20.0
"""Check-ins a second that the coordinator asks for, over all populations without a running task."""

CROWDED = 1800.0
"""Seconds for which a task books slots at its rate. Further slots follow at `IDLE_RATE`, if that is faster.

Anybody may check in and never come back. At the rate of a small task some hundred such calls would fill a day.
"""

_HEADROOM = 1.5
"""Devices asked back per place: some do not come, and the next round fills while this one's devices train."""

_WEIGHT = 0.25
"""Weight of the newest round in the moving averages."""


def duration(seconds: float) -> Duration:
    """Returns seconds as a message, to the microsecond."""
    whole, part = divmod(round(seconds * 1e6), 1_000_000)
    return Duration(seconds=whole, nanos=part * 1000)


class Window(NamedTuple):
    """The time in which a device should come back: between `least` and `most` seconds from now."""

    least: float
    most: float

    def message(self) -> RetryWindow:
        """Returns the window as a device receives it."""
        return RetryWindow(delay_min=duration(self.least), delay_max=duration(self.most))


STARTING = Window(1.0, 10.0)
"""The window while the coordinator is starting or shutting down."""

STRANGER = Window(IDLE, 2 * IDLE)
"""The window of a device whose assignment nobody knows. It takes no slot, because ids can be made up."""

LATER = Window(HORIZON / 2, HORIZON)
"""Within a day: for devices that must be updated first, and for those that the calendar has no room for."""


def unheard(rule: Rule) -> Window:
    """The window of an assigned device that receives no further answer: after its lease.

    It takes no slot, because nearly all assigned devices do receive one.
    """
    return Window(rule.lease, 1.5 * rule.lease)


class Calendar:
    """Slots at least `1 / rate` seconds apart: a leaky bucket that remembers one number.

    A slot in which nobody comes stays empty. A calendar that was lost in a restart books slots beside those that
    devices still have, so arrivals stay under twice the rate.
    """

    def __init__(self) -> None:
        self._last = -math.inf

    def book(self, now: float, delay: float, rate: float, crowded: float = HORIZON) -> Window:
        """Books the first free slot; returns `LATER` if it lies beyond the horizon.

        Args:
            now: seconds.
            delay: fewest seconds from now.
            rate: slots a second, > 0.
            crowded: seconds from now after which slots follow at `IDLE_RATE`, if that is faster.
        """
        window = self.first_free(now, delay, rate, crowded)
        if window is not LATER:
            self._last = now + window.least
        return window

    def first_free(self, now: float, delay: float, rate: float, crowded: float = HORIZON) -> Window:
        """Returns what `book` would return, and books nothing."""
        if self._last > now + crowded:
            rate = max(rate, IDLE_RATE)
        slot = max(now + delay, self._last + 1 / rate)
        return LATER if slot > now + HORIZON else Window(slot - now, slot - now + min(1 / rate, SOONEST))


class Pace:
    """Decides when the devices of one task are asked back.

    The rate is the number of leases that a round gives out, divided by the time that a round takes after it has leased
    as many as its goal. The wait for devices is left out: otherwise a lack of devices would lower the rate and so
    prolong itself.

    Devices that have contributed have a calendar of their own. They are no more than the places of rounds, so callers
    that only check in cannot fill it. Devices without an admission have another one, because most of them get an
    admission at once and leave their slots empty.

    Args:
        rule: the task's closing rule.
        separation: rounds from one contribution of a device to its next, at least 1.
    """

    def __init__(self, rule: Rule, separation: int = 1) -> None:
        self._rule = rule
        self._separation = separation
        self._contributors = Calendar()
        self._unadmitted = Calendar()
        self._others = Calendar()
        self._work: float | None = None  # seconds from the goal's lease to the commit, smoothed
        self._period: float | None = None  # seconds from the opening to the commit, smoothed

    @property
    def rate(self) -> float:
        """Check-ins a second that the task asks for. A round that has not been measured counts as half a lease."""
        work = self._rule.lease / 2 if self._work is None else self._work
        return _HEADROOM * self._rule.leases / max(work, SOONEST)

    def window(self, round: RoundMachine, answer: Answer, now: float) -> Window:
        """Decides when a device that is answered now should come back.

        Args:
            round: the open round, as it is after the answer.
            answer: the answer; ACCEPTED or REPEATED for a contribution of any round.
            now: seconds.
        """
        contributed = answer in (Answer.ACCEPTED, Answer.REPEATED)
        # Until the next round.
        useless = contributed or answer in (Answer.FULL, Answer.GIVEN_BACK, Answer.UNADMITTED)
        delay = SOONEST
        if round.paused:
            delay = IDLE
        elif useless and round.state == ROUND_STATE_COLLECTING:
            delay = max(delay, self._remaining(round, now))
        if answer is Answer.ACCEPTED:
            window = self._contributors.book(now, delay, self.rate)
        elif answer is Answer.REPEATED:  # any number of times
            window = self._contributors.first_free(now, delay, self.rate)
        else:
            calendar = self._unadmitted if answer is Answer.UNADMITTED else self._others
            window = calendar.book(now, delay, self.rate, CROWDED)
        # Added after the booking: a far slot in the calendar would leave all nearer slots empty.
        further = (self._separation - 1) * (self._period or 0.0) if contributed else 0.0
        return Window(window.least + further, window.most + further)

    def _remaining(self, round: RoundMachine, now: float) -> float:
        """Estimates the seconds until the open round ends: at its deadline at the latest."""
        work = self._work or 0.0
        begun = round.opened - round.attempt * self._rule.deadline
        since = now - (begun if round.covered is None else round.covered)
        expected = work if round.covered is None else work - since
        overdue = (since - work) / 2  # the longer it has taken, the longer it may still take
        return min(max(expected, overdue), round.opened + self._rule.deadline - now)

    def committed(self, round: RoundMachine, now: float) -> None:
        """Learns from a round that was closed at `now` and is committed."""
        attempt = min(now - round.opened, self._rule.deadline)
        self._period = _smooth(self._period, round.attempt * self._rule.deadline + attempt)
        if round.covered is not None:
            # It is longer than a lease only if the coordinator was away in between.
            self._work = _smooth(self._work, min(now - round.covered, self._rule.lease))


def _smooth(average: float | None, newest: float) -> float:
    return newest if average is None else average + _WEIGHT * (newest - average)
