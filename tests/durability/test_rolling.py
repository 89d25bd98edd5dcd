"""Coordinators are upgraded one after the other while devices work: no session of a device stays broken."""

import pytest

pytest.importorskip("psycopg", reason="the extra postgres is not installed")

from tests.durability import versions
from tests.durability.devices import Fleet
from tests.durability.replicas import Replicas
from tests.durability.rolling import Rolling, balanced
from tests.durability.twins import Twins


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3], ids=["two", "three"])
def test_an_upgrade_over_three_versions_under_load_breaks_no_session_for_good(
    tmp_path, server, small_bundle, capsys, count
):
    """From the first version of several coordinators to this one, to one with a newer ledger, twice each."""
    old, new = versions.earlier(versions.FIRST_OF_SEVERAL, tmp_path / "old"), versions.later(tmp_path / "new")
    fleet = Fleet(tmp_path, devices=40, workers=2, rounds=20, cohort=20, seed=6)
    twins = Twins(fleet, server, small_bundle, lambda folder, url: Replicas(folder, url, 1, old))
    path = [old, versions.HERE, versions.HERE, new, new]
    with balanced(Replicas(twins.wild.folder, twins.url, count, old)) as replicas:
        told, _ = twins.check(Rolling(twins.wild, replicas, twins.task_id, path))
    assert replicas.logs().count("ERROR") == 0
    with capsys.disabled():
        print(f"{count} coordinators: {told}")
