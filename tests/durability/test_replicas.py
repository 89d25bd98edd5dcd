"""Two or three coordinators share a ledger: whichever dies, sleeps or loses the database, nothing is lost."""

import pytest

pytest.importorskip("psycopg", reason="the extra postgres is not installed")

from tests.durability.devices import Fleet
from tests.durability.kills import Kills, Plan
from tests.durability.replicas import Replicas
from tests.durability.twins import Twins


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
