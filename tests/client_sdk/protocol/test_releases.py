"""What a publisher has signed of population, order and time holds, whoever serves the bundle."""

import time
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_sdk import ReleaseError, Result, UsageError
from client_sdk.protocol.releases import Releases
from client_sdk.protocol.trust import Trust
from client_sdk.store.sqlite_store import SqliteStore
from export.bundle import Bundle as Built
from export.bundle import write
from fedau2.v1.device_pb2 import FAILURE_REASON_UNSUPPORTED
from fedau2.v1.task_pb2 import Release, TaskManifest
from fedau2.wire.releases import SKEW
from tests.client_sdk.protocol.test_trust import refused, serving, signed  # noqa: F401 - a fixture

NOW = 1_900_000_000
A, B = bytes(32), bytes([1]) * 32


class Remembered:
    def __init__(self):
        self.numbers = {}

    def least(self, population):
        return {who: number for (place, who), number in self.numbers.items() if place == population}

    def raise_to(self, population, publisher, sequence):
        key = (population, publisher)
        self.numbers[key] = max(sequence, self.numbers.get(key, 0))


def task(sequence, population="films", issued=NOW, expires=0):
    return TaskManifest(release=Release(population=population, sequence=sequence, issued=issued, expires=expires))


def accepted(releases, *arguments):
    try:
        releases.expect(*arguments)
    except ReleaseError:
        return False
    return True


@given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from([A, B]), st.sampled_from([0, NOW + 10, NOW + 10**6]))))
def test_no_sequence_number_falls_and_none_that_has_ended_comes_back(bundles):
    now = NOW
    releases, memory = Releases("films", found := Remembered(), clock=lambda: now), found
    newest, over = {A: 0, B: 0}, set()
    for sequence, publisher, expires in bundles:
        now = NOW + 10 + SKEW  # the end of those that end early
        ended = expires == NOW + 10
        ran = accepted(releases, task(sequence, expires=expires), publisher)
        assert ran == (sequence >= newest[publisher] and (publisher, sequence) not in over and not ended)
        if ended and sequence >= newest[publisher]:
            over |= {(publisher, number) for number in range(sequence + 1)}
            now = NOW  # a clock that is set back revives nothing
            assert not accepted(releases, task(sequence, expires=expires), publisher)
        elif ran:
            newest[publisher] = sequence
    assert memory.least("others") == {}


def test_clocks_may_differ_by_minutes():
    now = NOW
    releases = Releases("films", Remembered(), clock=lambda: now)
    releases.expect(task(1, issued=NOW + SKEW), A)
    with pytest.raises(ReleaseError, match="in the future"):
        releases.expect(task(2, issued=NOW + SKEW + 1), A)
    releases.expect(task(1), A)  # what is not believed yet is not remembered either
    now = NOW + 100 + SKEW - 1
    releases.expect(task(1, expires=NOW + 100), A)
    now += 1
    with pytest.raises(ReleaseError, match="is over"):
        releases.expect(task(1, expires=NOW + 100), A)
    releases.expect(task(2), A)  # a newer one is run as ever


def test_another_population_is_refused_and_not_remembered():
    releases = Releases("films", memory := Remembered(), clock=lambda: NOW)
    with pytest.raises(ReleaseError, match="'shoes'"):
        releases.expect(task(9, "shoes"), A)
    assert memory.numbers == {}


def test_bundles_without_a_release_are_run_until_one_with_a_release_was_seen():
    releases = Releases("films", Remembered(), clock=lambda: NOW)
    releases.expect(TaskManifest(), A)
    releases.expect(task(7), A)
    for publisher in (A, B):
        with pytest.raises(ReleaseError, match="without a release"):
            releases.expect(TaskManifest(), publisher)
    with pytest.raises(ReleaseError, match="without a release"):
        Releases("films", Remembered(), required=True).expect(TaskManifest(), A)


def test_sequence_numbers_outlive_the_process_and_the_users_data(tmp_path):
    with closing(SqliteStore(tmp_path)) as store:
        store.releases.raise_to("films", A, 2**53)
        store.releases.raise_to("films", A, 5)
        store.releases.raise_to("films", B, 1)
        store.releases.raise_to("shoes", B, 3)
    with closing(SqliteStore(tmp_path)) as store:
        assert store.releases.least("films") == {A: 2**53, B: 1}
        assert store.releases.least("others") == {}


def release(sequence, population="films", ends=10**6):
    issued = int(time.time())
    return Release(population=population, sequence=sequence, issued=issued, expires=issued + ends)


def test_an_older_bundle_another_populations_and_one_without_a_release_are_refused(serving, bundle, remote):  # noqa: F811
    current = signed(bundle.with_manifest(release=release(7)))
    with serving(current) as client:
        assert client.sync().result == Result.UPLOADED
        model = client._store.model()
        client.privacy.delete_data()
    for wrong in (
        signed(bundle),
        signed(bundle.with_manifest(release=release(6))),
        signed(bundle.with_manifest(release=release(8, "shoes"))),
    ):
        with serving(wrong) as client:
            with pytest.raises(ReleaseError):
                client.sync()
            assert remote.calls[-1][1].reason == FAILURE_REASON_UNSUPPORTED
            assert client._store.model() == model
            assert client.recommend(3)  # offline, from the model that was adopted
    with serving(current) as client:
        assert client.sync().result in (Result.UPLOADED, Result.REJECTED)


def test_a_bundle_whose_time_is_over_is_refused(serving, bundle, remote):  # noqa: F811
    issued = int(time.time()) - 10_000
    over = Release(population="films", sequence=7, issued=issued, expires=issued + 1)
    with serving(signed(bundle.with_manifest(release=over))) as client:
        refused(client, remote, ReleaseError, FAILURE_REASON_UNSUPPORTED)


def test_a_starter_is_used_whatever_its_release_and_does_not_keep_a_device_from_its_task(serving, bundle, tmp_path):  # noqa: F811
    issued = int(time.time()) - 10_000
    old = signed(
        bundle.with_manifest(release=Release(population="films", sequence=7, issued=issued, expires=issued + 1))
    )
    write(Built(old.manifest, old.blobs), tmp_path / "starter")
    with serving(signed(bundle.with_manifest(release=release(6))), starter=tmp_path / "starter") as client:
        assert client.recommend(3)
        assert client.sync().result == Result.UPLOADED  # the task's bundle may have been signed before the starter


def test_an_app_may_require_releases(serving, bundle, remote):  # noqa: F811
    with serving(signed(bundle), require_release=True) as client:
        refused(client, remote, ReleaseError, FAILURE_REASON_UNSUPPORTED)
    with pytest.raises(UsageError, match="publishers"):
        Trust(require_release=True)
