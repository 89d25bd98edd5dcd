"""The lease of a place in a round, by the device's own clock."""

from collections.abc import Callable
from math import inf

from client_sdk.protocol.interfaces import Download
from client_sdk.protocol.wishes import TooSlow

PATIENCE = 10.0
"""Seconds of a transfer after which its speed is taken for the link's."""


class Lease:
    """The time from a check-in to the end of the upload.

    Args:
        seconds: from now.
        clock: seconds since some moment.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Returns the seconds that are left, more than 0.

        Raises:
            TooSlow: none are left.
        """
        left = self._end - self._clock()
        if left <= 0:
            raise TooSlow
        return left

    def watched(self, download: Download, size: int) -> Download:
        """Returns a download of `size` bytes that raises `TooSlow` once it is clear that it will outlast the lease."""
        return _Watched(download, size, self, self._clock)


class NoLease(Lease):
    """No lease, so that nothing is too slow."""

    def __init__(self) -> None:
        super().__init__(inf, lambda: 0.0)


class _Watched:
    def __init__(self, download: Download, size: int, lease: Lease, clock: Callable[[], float]) -> None:
        self._download, self._lease, self._clock = download, lease, clock
        self._before, self._began = download.size, clock()
        self._missing = size - download.size

    @property
    def size(self) -> int:
        return self._download.size

    def add(self, data: bytes) -> None:
        self._download.add(data)
        left, spent = self._lease.left(), self._clock() - self._began
        came = self._download.size - self._before
        if spent >= PATIENCE and (self._missing - came) * spent > left * came:
            raise TooSlow

    def finish(self) -> bytes:
        return self._download.finish()
