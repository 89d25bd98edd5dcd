"""Makes the releases that are signed with bundles (docs/train-on-device.md)."""

import time
from dataclasses import dataclass

from export.defaults import DAYS
from export.errors import ReleaseError
from fedau2.v1.task_pb2 import Release, TaskManifest
from fedau2.wire import releases

_DAY = 86_400

_FAR = 10 * 365 * _DAY
"""Largest difference of a sequence number from the seconds since 1970. None by default could follow a larger one."""


@dataclass(frozen=True)
class Terms:
    """The terms on which a bundle is signed.

    Attributes:
        population: that the bundle is for; None: the one that it was signed for before.
        sequence: sequence number; None: the seconds since 1970, so that it grows by itself.
        days: days for which the bundle may be used; 0: for ever.
    """

    population: str | None = None
    sequence: int | None = None
    days: int = DAYS

    def release(self, task: TaskManifest, now: float | None = None) -> Release:
        """Returns the release of a bundle that is signed now.

        Args:
            task: the bundle's manifest.
            now: seconds since 1970; None: the present.

        Raises:
            ReleaseError: no population is known, or a term is out of its bounds.
        """
        population = task.release.population if self.population is None else self.population
        if not population:
            raise ReleaseError("name the population whose devices may run the bundle: --population NAME")
        issued = int(time.time() if now is None else now)
        sequence = issued if self.sequence is None else self.sequence
        try:
            made = Release(population=population, sequence=sequence, issued=issued)
            made.expires = issued + self.days * _DAY if self.days else 0
            releases.check(TaskManifest(release=made))
            _expect_near(task, made)
        except ValueError as error:  # also one of Protocol Buffers, for numbers beyond 64 bits
            raise ReleaseError(str(error)) from error
        return made


def _expect_near(task: TaskManifest, made: Release) -> None:
    """Returns if devices that have seen a sequence number will take later ones.

    Raises:
        ValueError: it is much larger than by default, or smaller than the one before.
    """
    if made.sequence > made.issued + _FAR:
        raise ValueError(
            f"the sequence number {made.sequence} is more than ten years above the seconds since 1970: devices that "
            "have seen it would refuse all smaller ones for ever"
        )
    if made.population == task.release.population and made.sequence < task.release.sequence:
        raise ValueError(
            f"the sequence number {made.sequence} is smaller than {task.release.sequence}, with which the bundle was "
            "signed before: devices that have seen that one would refuse it"
        )
