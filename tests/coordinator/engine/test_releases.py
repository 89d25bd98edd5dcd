"""The coordinator refuses bundles that the devices of the population would refuse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.engine import releases
from coordinator.errors import InvalidBundleError
from fedau2.v1.task_pb2 import Release, TaskManifest
from fedau2.wire.releases import SKEW

NOW = 1_900_000_000


def test_a_bundle_without_a_release_is_for_everybody():
    releases.expect(TaskManifest(), "films", NOW)


def test_another_population_is_refused():
    with pytest.raises(InvalidBundleError, match="--population"):
        releases.expect(TaskManifest(release=Release(population="shoes", sequence=1, issued=1)), "films", NOW)


@given(st.integers(-2 * SKEW, 2 * SKEW), st.integers(-2 * SKEW, 2 * SKEW) | st.none())
def test_a_bundle_is_taken_from_its_issue_to_its_end_give_or_take_minutes(early, late):
    release = Release(population="films", sequence=1, issued=NOW + early)
    if late is not None:
        release.expires = NOW + late
    over = late is not None and late <= -SKEW
    task = TaskManifest(release=release)
    if not over and early <= SKEW:
        releases.expect(task, "films", NOW)
    else:
        with pytest.raises(InvalidBundleError, match="is over" if over else "in the future"):
            releases.expect(task, "films", NOW)
