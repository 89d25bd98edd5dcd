"""The ends of the certificates that are in use: as metrics, and in the log while there is time to renew them."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from coordinator.grpc.tls import Tls
from coordinator.grpc.unmasker_client import ClientTls
from coordinator.metrics.metrics import Gauges

_log = logging.getLogger(__name__)

SOON = 14 * 86_400.0
"""Seconds before its end from which the log names a certificate, once a day."""

_DAY = 86_400.0
_PERIOD = 600.0
"""Seconds between two looks at the files."""

Ends = Mapping[str, Callable[[], float | None]]
"""Functions by setting that return the end of the certificate in use, in seconds since 1970, or None without one."""


def ends(served: Iterable[Tls | None], unmasker_tls: ClientTls | None) -> Ends:
    """Returns the ends of the certificates of a coordinator's addresses, and of that which it shows to the unmasker."""
    known: dict[str, Callable[[], float | None]] = {}
    for files in served:
        if files is not None:
            known[f"{files.settings}_certificate"] = lambda files=files: files.renewed.newest().ends  # type: ignore[misc]
            known[f"{files.settings}_client_ca"] = lambda files=files: files.renewed.newest().authorities_end  # type: ignore[misc]
    if unmasker_tls is not None:
        known["unmasker_tls_certificate"] = lambda: unmasker_tls.renewed.newest().ends
    return known


class Expiry:
    """Watches the ends of certificates.

    Args:
        ends: of the certificates.
        clock: seconds since 1970.
    """

    def __init__(self, ends: Ends, clock: Callable[[], float] = time.time) -> None:
        self._ends, self._clock = ends, clock
        self._said: dict[str, float] = {}

    def gauges(self) -> Gauges:
        """Yields the end of each certificate, as a metric."""
        text = "End of the certificate in use, or of the last of the authorities, in seconds since 1970."
        for setting, end in self._known():
            yield "fedau2_certificate_end_timestamp_seconds", text, end, {"setting": setting}

    def warn(self) -> None:
        """Logs each certificate that ends soon or has ended, once a day."""
        now = self._clock()
        for setting, end in self._known():
            if end - now > SOON or now - self._said.get(setting, -_DAY) < _DAY:
                continue
            self._said[setting] = now
            at = _written(end)
            if now < end:
                _log.warning("%s ends at %s: renew it, which needs no restart", setting, at)
            else:
                _log.error("%s has ended at %s, so new connections fail: renew it, which needs no restart", setting, at)

    def look(self) -> None:
        """Uses what was replaced at once, and logs the end of each certificate: the answer to SIGHUP."""
        ends = [f"{setting} ends at {_written(end)}" for setting, end in self._known()]
        known = "; ".join(ends) or "there are no certificates"
        _log.info("SIGHUP: replaced files are used without a restart, and settings after one; %s", known)

    async def watch(self) -> None:
        """Looks from time to time, until it is cancelled."""
        while True:
            self.warn()
            await asyncio.sleep(_PERIOD)

    def _known(self) -> Iterator[tuple[str, float]]:
        for setting, read in self._ends.items():
            if (end := read()) is not None:
                yield setting, end


def _written(end: float) -> str:
    return datetime.fromtimestamp(end, UTC).isoformat(" ", "minutes")
