"""Checks the releases of bundles: for which population, in which order and how long a bundle is to be used."""

from datetime import UTC, datetime

from fedau2.v1.task_pb2 import Release, TaskManifest
from fedau2.wire.checks import require

SKEW = 300
"""Seconds by which the clocks of publishers, coordinators and devices may differ."""

MOST = 2**53 - 1
"""Largest sequence number, and largest time in seconds since 1970."""


def check(task: TaskManifest) -> None:
    """Returns if the fields of a manifest's release, if it has one, are in their bounds.

    Raises:
        ManifestError: one is not.
    """
    if not task.HasField("release"):
        return
    release = task.release
    require(0 < len(release.population.encode()) <= 128, "the release's population does not have 1 to 128 bytes")
    require(0 < release.sequence <= MOST, f"the release's sequence number {release.sequence} is not in 1 to 2^53 - 1")
    require(0 < release.issued <= MOST, f"the release's time of issue {release.issued} is not in 1 to 2^53 - 1")
    lasts = not release.expires or release.issued < release.expires <= MOST
    require(lasts, f"the release ends at {release.expires}, which is not after its issue, or not below 2^53")


def expired(release: Release, now: float) -> bool:
    """Returns whether a release has ended at a time, in seconds since 1970, that a clock may state late."""
    return bool(release.expires) and now >= release.expires + SKEW


def early(release: Release, now: float) -> bool:
    """Returns whether a release was issued after a time, in seconds since 1970, that a clock may state early."""
    return release.issued > now + SKEW


def end(release: Release) -> str:
    """Says until when a release lasts, for example `until 2027-01-31`."""
    if not release.expires:
        return "for ever"
    try:
        return f"until {datetime.fromtimestamp(release.expires, UTC):%Y-%m-%d}"
    except (OverflowError, OSError, ValueError):  # beyond the years that a date has
        return f"until {release.expires} s after 1970"
