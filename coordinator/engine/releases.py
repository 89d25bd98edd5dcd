"""Refuses bundles that devices would refuse by what their publisher has signed."""

from coordinator.errors import InvalidBundleError
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import releases


def expect(task: TaskManifest, population: str, now: float) -> None:
    """Returns if a bundle may be brought to a population, as far as its release says.

    Args:
        task: its manifest, which has been checked.
        population: of the devices that are to run it.
        now: seconds since 1970.

    Raises:
        InvalidBundleError: it was signed for another population, or its time is over or has not come.
    """
    if not task.HasField("release"):
        return
    release = task.release
    if release.population != population:
        raise InvalidBundleError(
            f"the bundle was signed for the population {release.population!r}, and devices of {population!r} would "
            "refuse it: sign it for them (fedau2-export sign --population)"
        )
    if releases.expired(release, now):
        raise InvalidBundleError("the time for which the bundle was signed is over: sign it again (fedau2-export sign)")
    if releases.early(release, now):
        raise InvalidBundleError(
            "the bundle was signed in the future, by the coordinator's clock: set the clock that is wrong"
        )
