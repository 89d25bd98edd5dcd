"""Keeps one identity, which shows a certificate or evidence, from taking what all devices need."""

import logging
import math
from collections.abc import Callable
from typing import Literal

from coordinator.errors import BusyError
from coordinator.metrics.metrics import Metrics
from coordinator.model import pace
from fedau2.rates import Rates

_log = logging.getLogger(__name__)

Kind = Literal["check_in", "fetch", "admission"]
"""The calls that are counted, each kind by itself."""

_SAID = 60.0
"""Seconds in which the log speaks of a kind at most once."""

_TEXTS: dict[Kind, str] = {
    "check_in": "this identity checks in too often; try again later",
    "fetch": "this identity fetches too often; try again later",
    "admission": "this identity asks for admissions too often; try again later",
}


class Identities:
    """The limits of identities. Used on one event loop.

    An identity is counted where it is shown anyway. A device that shows no certificate stays unknown when it checks in
    with an admission, whoever it was issued to.

    Args:
        calls: calls a minute of one kind that an identity may make; 0: any number.
        metrics: count calls that were turned away.
        clock: seconds since 1970.
    """

    def __init__(self, calls: int, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._rates = {kind: Rates(calls) for kind in _TEXTS}
        self._said = dict.fromkeys(_TEXTS, -math.inf)
        self._metrics, self._clock = metrics, clock

    def expect(self, kind: Kind, identity: bytes) -> None:
        """Returns if an identity may make a call, which is counted.

        Args:
            kind: of the call.
            identity: bytes that stand for it; empty: it is not known, and so not limited.

        Raises:
            BusyError: it calls too often.
        """
        now = self._clock()
        if not identity or self._rates[kind].spend(identity, now):
            return
        self._metrics.limited.labels(kind).inc()
        if now >= self._said[kind] + _SAID:
            self._said[kind] = now
            _log.warning("calls of an identity are turned away: limit %s; it is not named here", kind)
        raise BusyError(_TEXTS[kind], pace.STARTING.message())
