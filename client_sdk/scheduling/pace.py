"""When a device checks in next: pure functions of the clock, chance, and what became of the syncs before."""

from dataclasses import dataclass
from random import Random
from typing import Self

from client_sdk.protocol.wishes import Outcome
from fedau2.v1.task_pb2 import RetryWindow

LEAST_BACKOFF = 30.0
"""Seconds after the first failure; WorkManager's default."""
MOST_BACKOFF = 5 * 3600.0
"""Seconds that no number of failures exceeds; WorkManager's maximum."""
LONGEST = 7 * 86400.0
"""Seconds beyond which no coordinator, and no clock that was set back, keeps a device away."""


@dataclass(frozen=True)
class Pace:
    """What is remembered of the last sync. Times are in seconds since 1970, UTC.

    Attributes:
        last: when it ended; None before the first.
        result: value of its `Result`, "" where it raised.
        error: name of the error that it raised, "" where it did not. The text may quote the user, and is not kept.
        failures: how many in a row ended without a word of the coordinator on when to come back.
        earliest: the coordinator's window for the next check-in begins; None where it gave none.
        latest: the window ends.
        due: when background work checks in next.
    """

    last: float | None = None
    result: str = ""
    error: str = ""
    failures: int = 0
    earliest: float | None = None
    latest: float | None = None
    due: float = 0.0

    def ended(self, outcome: Outcome, now: float, rng: Random) -> Self:
        """The pace after a sync that returned an outcome."""
        return self._after(now, outcome.result.value, "", outcome.retry, outcome.retry is None, rng)

    def failed(self, error: BaseException, retry: RetryWindow | None, now: float, rng: Random) -> Self:
        """The pace after a sync that raised; with the coordinator's window, where its refusal brought one."""
        return self._after(now, "", type(error).__name__, retry, True, rng)

    def wait(self, now: float) -> float:
        """Seconds until the next check-in is due; 0 when it is, before the first, or when the clock was set back."""
        if self.last is None or self.last > now:
            return 0.0
        left = self.due - now
        return left if 0 < left <= LONGEST else 0.0

    def _after(self, now: float, result: str, error: str, retry: RetryWindow | None, failed: bool, rng: Random) -> Self:
        failures = self.failures + 1 if failed else 0
        if retry is None:
            earliest, latest, due = self._standing(now)
        else:
            earliest, latest = (now + delay for delay in _delays(retry))
            due = rng.uniform(earliest, latest)
        if failed:
            due = max(due, now + backoff(failures, rng))
        return type(self)(now, result, error, failures, earliest, latest, due)

    def _standing(self, now: float) -> tuple[float | None, float | None, float]:
        # A sync that the app asked for may come before the time that the coordinator named, which then still holds.
        if self.wait(now):
            return self.earliest, self.latest, self.due
        return None, None, now


def backoff(failures: int, rng: Random) -> float:
    """Seconds to wait after so many failures in a row, 1 or more: doubled each time, less up to a half by chance."""
    longest = min(MOST_BACKOFF, LEAST_BACKOFF * 2.0 ** min(failures - 1, 30))
    return rng.uniform(longest / 2, longest)


def _delays(window: RetryWindow) -> tuple[float, float]:
    least, most = (each.seconds + each.nanos / 1e9 for each in (window.delay_min, window.delay_max))
    least = min(max(least, 0.0), LONGEST)
    return least, min(max(most, least), LONGEST)
