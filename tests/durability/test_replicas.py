"""Two or three coordinators share a ledger: whichever dies, sleeps or loses the database, nothing is lost."""

import shutil

import pytest

pytest.importorskip("psycopg", reason="the extra postgres is not installed")

from tests.coordinator.object_stores import s3_server, s3_url, s3_way
from tests.durability.devices import Fleet
from tests.durability.kills import Kills, Plan
from tests.durability.replicas import Replicas
from tests.durability.twins import Twins

__all__ = ["s3_server", "s3_url", "s3_way"]


@pytest.mark.slow
@pytest.mark.parametrize(("count", "kills"), [(2, 100), (3, 100)], ids=["two", "three"])
def test_two_hundred_kills_of_coordinators_and_twenty_of_the_database(
    tmp_path, server, small_bundle, capsys, count, kills
):
    fleet = Fleet(tmp_path, devices=60, workers=2, rounds=30, cohort=30, seed=6)
    twins = Twins(fleet, server, small_bundle)
    replicas = Replicas(twins.wild.folder, twins.url, count)
    plan = Plan(coordinators=kills, database=10, pauses=10)
    told, _ = twins.check(Kills(twins.wild, replicas, twins.task_id, plan, server))
    with capsys.disabled():
        print(f"{count} coordinators: {told}")


@pytest.mark.slow
@pytest.mark.parametrize(("count", "kills"), [(2, 40), (3, 40)], ids=["two", "three"])
def test_machines_that_vanish_and_an_object_store_that_fails(
    tmp_path, server, small_bundle, capsys, s3_way, s3_url, count, kills
):
    """Nothing is shared but the ledger and the store, and one request of twenty-five fails or its answer is lost."""
    fleet = Fleet(tmp_path, devices=40, workers=2, rounds=20, cohort=20, seed=7)
    twins = Twins(fleet, server, small_bundle)
    for number in range(count):
        shutil.copytree(twins.wild.folder / "shared", twins.wild.folder / f"local-{number}")
    shutil.rmtree(twins.wild.folder / "shared")
    s3_way.fail_at_random(0.04, seed=7)
    replicas = Replicas(twins.wild.folder, twins.url, count, objects=s3_url)
    plan = Plan(coordinators=kills, database=6, pauses=6)
    told, _ = twins.check(Kills(twins.wild, replicas, twins.task_id, plan, server))
    failed = ", ".join(f"{number} {kind}" for kind, number in s3_way.failed.items())
    with capsys.disabled():
        print(f"{count} coordinators: {told}\n{len(s3_way.requests)} requests to the store, {failed}")
