"""Refuses signed bundles that are for other devices, that newer ones have followed, or whose time is over."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from client_sdk.errors import ReleaseError
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import releases


class Memory(Protocol):
    """Remembers releases, durably."""

    def least(self, population: str) -> Mapping[bytes, int]:
        """Returns the least sequence number that is accepted for a population, by publisher (key of 32 bytes)."""

    def raise_to(self, population: str, publisher: bytes, sequence: int) -> None:
        """Raises a least sequence number, which never falls."""


class Releases:
    """The releases that one device accepts.

    A sequence number once seen stays the least one. That of a release that has ended is passed, so that a clock which
    is set back does not revive it.

    Args:
        population: of the device.
        memory: keeps the least sequence numbers.
        required: True to refuse bundles without a release, even before the first one with a release was seen.
        clock: seconds since 1970.
    """

    def __init__(
        self, population: str, memory: Memory, required: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self._population, self._memory, self._required, self._clock = population, memory, required, clock

    def expect(self, task: TaskManifest, publisher: bytes) -> None:
        """Returns if the device may run a task, whose manifest has been checked, and remembers its sequence number.

        Args:
            task: the manifest.
            publisher: key of 32 bytes, with which it was signed.

        Raises:
            ReleaseError: it may not.
        """
        least, now, release = self._memory.least(self._population), self._clock(), task.release
        if not task.HasField("release"):
            if self._required or least:
                raise ReleaseError("the bundle was signed without a release, and the device expects one: sign it again")
            return
        if release.population != self._population:
            raise ReleaseError(f"the bundle was signed for the population {release.population!r}, not for this one")
        if release.sequence < least.get(publisher, 0):
            raise ReleaseError(
                f"the bundle has the sequence number {release.sequence}, and the least that the device still accepts "
                f"is {least[publisher]}: a newer bundle has followed it, or its time is over"
            )
        if releases.early(release, now):
            raise ReleaseError("the bundle was signed in the future, by this device's clock")
        over = releases.expired(release, now)
        self._memory.raise_to(self._population, publisher, release.sequence + over)
        if over:
            raise ReleaseError("the time for which the bundle was signed is over")
