"""Decides when a device checks in next: pure functions of the clock, chance, and the ends of earlier syncs."""

from dataclasses import dataclass, replace
from random import Random
from typing import Self

from client_sdk.errors import AttributeValueError, NoDataError, PlainTaskError
from client_sdk.protocol.wishes import Outcome, Result
from client_sdk.retry import LONGEST, RetryWindow

UNFIT = (NoDataError, AttributeValueError, PlainTaskError)
"""Errors of a client that cannot contribute by what it knows. It asks for no place until then."""

LEAST_BACKOFF = 30.0
"""Seconds after the first failure; WorkManager's default."""
MOST_BACKOFF = 5 * 3600.0
"""Most seconds after any number of failures; WorkManager's maximum."""


@dataclass(frozen=True)
class Pace:
    """The remembered end of the last sync. Times are in seconds since 1970, UTC.

    Attributes:
        last: when it ended; None before the first.
        result: value of its `Result`; "" if it raised an error.
        error: name of the error that it raised; "" if it raised none. The error's text may quote the user and is not
            kept.
        failures: number of syncs in a row that failed or were interrupted, or to which the coordinator named no window.
        earliest: start of the coordinator's window for the next check-in; None if it gave none.
        latest: end of the window.
        due: when background work checks in next.
        renewed: when the model was last fetched, or found to be the newest; None before the first.
    """

    last: float | None = None
    result: str = ""
    error: str = ""
    failures: int = 0
    earliest: float | None = None
    latest: float | None = None
    due: float = 0.0
    renewed: float | None = None

    def ended(self, outcome: Outcome, now: float, rng: Random) -> Self:
        """Returns the pace after a sync that returned an outcome."""
        # A device that is interrupted again and again must not take a place in one round after the other.
        failed = outcome.retry is None or outcome.result is Result.INTERRUPTED
        return self._after(now, outcome.result.value, "", outcome.retry, failed, rng)

    def failed(self, error: BaseException, retry: RetryWindow | None, now: float, rng: Random) -> Self:
        """Returns the pace after a sync that raised; `retry` is the window that the coordinator named, if it did."""
        failed = retry is None or not isinstance(error, UNFIT)
        return self._after(now, "", type(error).__name__, retry, failed, rng)

    def wait(self, now: float) -> float:
        """Returns the seconds until the next check-in is due: 0 also before the first, or if the clock was set back."""
        if self.last is None or self.last > now:
            return 0.0
        left = self.due - now
        return left if 0 < left <= LONGEST else 0.0

    def _after(self, now: float, result: str, error: str, retry: RetryWindow | None, failed: bool, rng: Random) -> Self:
        failures = self.failures + 1 if failed else 0
        if retry is None:
            earliest, latest, due = self._standing(now)
        else:
            earliest, latest = (now + delay.total_seconds() for delay in (retry.earliest, retry.latest))
            due = rng.uniform(earliest, latest)
        if failed:
            due = max(due, now + backoff(failures, rng))
        return replace(
            self, last=now, result=result, error=error, failures=failures, earliest=earliest, latest=latest, due=due
        )

    def _standing(self, now: float) -> tuple[float | None, float | None, float]:
        # A sync by the app may come before the coordinator's window, which then still holds.
        if self.wait(now):
            return self.earliest, self.latest, self.due
        return None, None, now


def backoff(failures: int, rng: Random) -> float:
    """Returns the seconds to wait after 1 or more failures in a row: doubled each time, less up to a half by chance."""
    longest = min(MOST_BACKOFF, LEAST_BACKOFF * 2.0 ** min(failures - 1, 30))
    return rng.uniform(longest / 2, longest)
