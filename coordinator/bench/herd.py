"""`bench herd`: simulates a day of a large population, to see whether devices come evenly and whether a round starves.

It runs the coordinator's round machine and pace steering on a logical clock, without gRPC and disk. Devices take part
while they charge: nearly all at night, few at noon. All charging devices wake in the same instant at midnight. At noon
the coordinator is away for an hour and comes back without its calendar, while devices try again with a backoff.
"""

import heapq
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from coordinator.model.closing import Rule
from coordinator.model.effects import Abandoned, Closed, Effect
from coordinator.model.leases import Answer
from coordinator.model.pace import Pace, Window, unheard
from coordinator.model.round_machine import RoundMachine
from fedau2.v1.device_pb2 import FAILURE_REASON_INTERRUPTED, FAILURE_REASON_TOO_SOON, FailureReason

HOUR = 3600.0
DAY = 24 * HOUR
OUTAGE = (12 * HOUR, 13 * HOUR)

_STEP = 1.0
"""Seconds that a server step takes."""

_DROPOUT = 0.08
"""Share of assigned devices that never report."""

_BACKOFF = (30.0, HOUR)
"""Seconds that a device waits after its first unanswered call, and most seconds; doubled in between, with jitter."""


@dataclass(frozen=True)
class Effort:
    """The size of the simulated day.

    Attributes:
        devices: size of the population.
        goal: contributions of a round.
    """

    devices: int
    goal: int


FULL = Effort(devices=100_000, goal=1000)
QUICK = Effort(devices=10_000, goal=100)


@dataclass(frozen=True)
class Result:
    """The outcome of a simulated day. An arrival is steered if the device came in the window that it was given.

    Attributes:
        devices: size of the population.
        steered: steered arrivals.
        unsteered: all other arrivals: the first, those after a missed window, and those after unanswered calls.
        mean: steered arrivals a second, over the seconds that count: outside the outage, from the first arrival on.
        peak: most steered arrivals in one second.
        busiest: most arrivals of any kind in one second, after the one in which all devices wake.
        committed: committed rounds.
        abandoned: abandoned attempts.
        starved: abandoned attempts outside the outage, because too few devices came before the deadline.
        longest: most seconds between two commits without the outage in between.
    """

    devices: int
    steered: int
    unsteered: int
    mean: float
    peak: int
    busiest: int
    committed: int
    abandoned: int
    starved: int
    longest: float


async def measure(effort: Effort) -> Result:
    """Simulates a day of this size."""
    return simulate(effort.devices, goal=effort.goal)


def table(result: Result) -> str:
    """Writes a result as a table."""
    check_ins = (result.steered + result.unsteered) / result.devices
    return "\n".join(
        [
            f"devices                  {result.devices:>10,}, of which all that charge wake in one instant",
            f"check-ins a device       {check_ins:>10.1f} a day",
            f"steered arrivals         {result.mean:>10.1f} a second on average (outside the outage)",
            f"  in the busiest second  {result.peak:>10} = {result.peak / result.mean:.2f} x the average",
            f"other arrivals           {result.unsteered:>10,}: first ones, after a missed window, after the outage",
            f"all arrivals             {result.busiest:>10} in the busiest second after the first",
            f"rounds committed         {result.committed:>10,}, starved {result.starved}, "
            f"abandoned over the outage {result.abandoned - result.starved}",
            f"longest between commits  {result.longest:>10.0f} s (outside the outage)",
        ]
    )


def simulate(devices: int = 100_000, seed: int = 0, goal: int = 1000, training: float = 60.0) -> Result:
    """Simulates a day.

    Args:
        devices: size of the population.
        seed: seed of everything that is drawn.
        goal: contributions of a round; over-selection is 0.3, the minimum 0.8 of the goal.
        training: median seconds that a device takes.
    """
    rule = Rule(goal=goal, minimum=max(1, goal * 4 // 5), places=int(goal * 1.3), deadline=600.0, lease=300.0)
    day = _Day(rule, training, random.Random(seed), devices)
    day.run()
    return day.result()


class _Event(NamedTuple):
    at: float
    device: int
    assignment: bytes = b""  # empty: a check-in; otherwise the end of training
    steered: bool = False


class _Day:
    def __init__(self, rule: Rule, training: float, rng: random.Random, devices: int) -> None:
        self._rule, self._training, self._rng, self._devices = rule, training, rng, devices
        self._charging = [_charging(rng) for _ in range(devices)]
        self._unanswered = [0] * devices
        self._contributed = [-1] * devices  # number of the round in which it last did
        self._events = [_Event(self._next_charge(device, 0.0), device) for device in range(devices)]
        heapq.heapify(self._events)
        self._round, self._pace = RoundMachine(rule, 0, 0.0), Pace(rule)
        self._closed: float | None = None
        self._commits = [0.0]
        self._abandoned = self._starved = self._assigned = 0
        self._steered: Counter[int] = Counter()
        self._unsteered: Counter[int] = Counter()
        self._restarted = False

    def run(self) -> None:
        while self._events and self._events[0].at < DAY:
            event = heapq.heappop(self._events)
            if OUTAGE[0] <= event.at < OUTAGE[1]:
                self._back_off(event)
                continue
            if event.at >= OUTAGE[1] and not self._restarted:
                self._pace, self._restarted = Pace(self._rule), True
            self._commit(event.at)
            self._unanswered[event.device] = 0
            if event.assignment:
                self._finish(event)
            elif self._next_charge(event.device, event.at) > event.at:
                self._push(_Event(self._next_charge(event.device, event.at), event.device))
            else:
                self._check_in(event)

    def _back_off(self, event: _Event) -> None:
        first, most = _BACKOFF
        wait = min(most, first * 2.0 ** self._unanswered[event.device]) * self._rng.uniform(0.5, 1)
        self._unanswered[event.device] += 1
        self._push(_Event(event.at + wait, event.device, event.assignment))

    def _check_in(self, event: _Event) -> None:
        (self._steered if event.steered else self._unsteered)[int(event.at)] += 1
        self._assigned += 1
        key = b"%d" % self._assigned
        answer, effects = self._round.check_in(key, event.at)
        self._note(effects, event.at)
        if answer is not Answer.ACCEPTED:
            self._come_back(event, self._pace.window(self._round, answer, event.at))
        elif self._contributed[event.device] == self._round.number:
            self._give_back(event._replace(assignment=key), FAILURE_REASON_TOO_SOON)
        elif self._rng.random() < _DROPOUT:
            self._come_back(event, unheard(self._rule))
        else:
            end = event.at + self._training * self._rng.lognormvariate(0, 0.5)
            self._push(_Event(end, event.device, key))

    def _finish(self, event: _Event) -> None:
        if self._next_charge(event.device, event.at) > event.at:  # unplugged while it trained
            self._give_back(event, FAILURE_REASON_INTERRUPTED)
            return
        answer, effects = self._round.report(event.assignment, b"", event.at)
        if answer is Answer.ACCEPTED:
            self._contributed[event.device] = self._round.number
        self._note(effects, event.at)
        self._come_back(event, self._pace.window(self._round, answer, event.at))

    def _give_back(self, event: _Event, reason: FailureReason.ValueType) -> None:
        answer, effects = self._round.fail(event.assignment, reason, event.at)
        self._note(effects, event.at)
        answer = Answer.GIVEN_BACK if answer is Answer.ACCEPTED else answer
        self._come_back(event, self._pace.window(self._round, answer, event.at))

    def _note(self, effects: Iterable[Effect], now: float) -> None:
        for effect in effects:
            if isinstance(effect, Abandoned):
                self._abandoned += 1
                # An attempt that was open during the outage did not have its full time.
                self._starved += not now - self._rule.deadline < OUTAGE[1] <= now
            if isinstance(effect, Closed):
                self._closed = now

    def _commit(self, now: float) -> None:
        if self._closed is not None and now >= self._closed + _STEP:
            self._pace.committed(self._round, self._closed)
            self._round = RoundMachine(self._rule, self._round.number + 1, self._closed)
            self._commits.append(self._closed + _STEP)
            self._closed = None

    def _come_back(self, event: _Event, window: Window) -> None:
        self._push(_Event(event.at + self._rng.uniform(*window), event.device, steered=True))

    def _push(self, event: _Event) -> None:
        heapq.heappush(self._events, event)

    def _next_charge(self, device: int, now: float) -> float:
        """Returns now, or the time at which the device next charges."""
        return next((max(now, begin) for begin, end in self._charging[device] if now < end), DAY)

    def result(self) -> Result:
        """Sums up the day."""
        counted = DAY - (OUTAGE[1] - OUTAGE[0])
        everything = self._steered + self._unsteered
        gaps = [late - early for early, late in zip(self._commits, self._commits[1:], strict=False)]
        outside = [gap for gap, end in zip(gaps, self._commits[1:], strict=True) if not end - gap <= OUTAGE[1] <= end]
        return Result(
            devices=self._devices,
            steered=self._steered.total(),
            unsteered=self._unsteered.total(),
            mean=self._steered.total() / counted,
            peak=max(self._steered.values()),
            busiest=max(count for second, count in everything.items() if second > 0),
            committed=len(self._commits) - 1,
            abandoned=self._abandoned,
            starved=self._starved,
            longest=max(outside),
        )


def _charging(rng: random.Random) -> list[tuple[float, float]]:
    """Draws when a device charges, as intervals of the day: at night, and sometimes once by day."""
    unplugged, plugged = rng.gauss(7, 1) * HOUR, rng.gauss(22.5, 1.25) * HOUR
    last = plugged - DAY + rng.gauss(0, 0.5) * HOUR  # since the evening before
    spans = [(max(0.0, last), unplugged)]
    if rng.random() < 0.4:
        noon = rng.uniform(9, 18) * HOUR
        spans.append((noon, noon + rng.expovariate(1 / HOUR)))
    return sorted([*spans, (plugged, DAY)])
