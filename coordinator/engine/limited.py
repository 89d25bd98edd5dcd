"""Keeps one network address from taking what all devices need."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from coordinator.errors import BusyError
from coordinator.metrics.metrics import Metrics
from coordinator.model import pace
from coordinator.model.caller import CALLER
from coordinator.model.limits import AddressLimits, network

_log = logging.getLogger(__name__)

_SAID = 60.0
"""Seconds in which the log names a network at most once."""

_LINES = 20
"""Most networks that the log names in this time."""

_TEXTS = {
    "rate": "too many calls come from this network address; try again later",
    "calls": "too many calls of this network address are under way; try again later",
    "bytes": "too many uploads of this network address are under way; try again later",
}


class Limited:
    """The limits of addresses, as calls meet them. Used on one event loop.

    Args:
        limits: of the addresses, with the calls of each.
        metrics: count calls that were turned away.
        clock: seconds since 1970.
    """

    def __init__(self, limits: AddressLimits, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._limits, self._metrics, self._clock = limits, metrics, clock
        self._said = OrderedDict[str, float]()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Runs a block that answers a call of `CALLER`.

        Raises:
            BusyError: its address calls too often, or has too many calls under way.
        """
        address = CALLER.get().address
        if limit := self._limits.begin(address, self._clock()):
            raise self._refusal(address, limit)
        try:
            yield
        finally:
            self._limits.end(address)

    @contextmanager
    def upload(self, size: int) -> Iterator[None]:
        """Runs a block that receives some bytes of `CALLER`.

        Raises:
            BusyError: its address has too many bytes under way.
        """
        address = CALLER.get().address
        if not self._limits.take(address, size):
            raise self._refusal(address, "bytes")
        try:
            yield
        finally:
            self._limits.give(address, size)

    def _refusal(self, address: str, limit: str) -> BusyError:
        self.turned_away(limit, address)
        return BusyError(_TEXTS[limit], pace.STARTING.message())

    def turned_away(self, limit: str, address: str, count: int = 1) -> None:
        """Notes that an address went beyond a limit, so many times."""
        self._metrics.limited.labels(limit).inc(count)
        self._say(address, limit)

    def _say(self, address: str, limit: str) -> None:
        now, key = self._clock(), network(address) or address
        while self._said and now - next(iter(self._said.values())) >= _SAID:
            self._said.popitem(last=False)
        if key in self._said or len(self._said) == _LINES:
            return
        self._said[key] = now
        _log.warning("calls of %s are turned away: limit %s", address, limit)
        if len(self._said) == _LINES:
            _log.warning("no further address is named within a minute; fedau2_limited_calls counts all calls")
