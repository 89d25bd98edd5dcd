"""Counts the calls that callers make, and says which of them call too often. There is no clock: `now` is passed in."""

import secrets
from collections import OrderedDict
from hashlib import blake2b

MOST = 100_000
"""Most callers that are known at a time. Those that called longest ago are forgotten first."""

_MINUTE = 60.0


class Rates:
    """The calls that each caller has left. Callers are kept as hashes under a key that this process forgets.

    Args:
        calls: calls a minute of one caller, which may come at once; 0: any number.
    """

    def __init__(self, calls: int) -> None:
        self._calls, self._key = calls, secrets.token_bytes(32)
        self._left = OrderedDict[bytes, tuple[float, float]]()  # calls left as of a time

    def __len__(self) -> int:
        return len(self._left)

    def spend(self, caller: bytes, now: float) -> bool:
        """Counts a call; returns False, and counts nothing, if the caller has none left.

        Args:
            caller: bytes that are the same for each call of one caller.
            now: seconds since any fixed moment.
        """
        if not self._calls:
            return True
        name = blake2b(caller, digest_size=16, key=self._key).digest()
        left, since = self._left.pop(name, (float(self._calls), now))
        left = min(self._calls, left + max(0.0, now - since) * self._calls / _MINUTE)
        self._left[name] = (left - 1 if left >= 1 else left, now)  # the newest
        if len(self._left) > MOST:
            self._left.popitem(last=False)
        return left >= 1
