"""The database fails over: coordinators go on at the replica, and what they acknowledged is there or is refused."""

import pytest

pytest.importorskip("psycopg", reason="the extra postgres is not installed")

from tests.durability.devices import Fleet
from tests.durability.failover import FailOver, Pair
from tests.durability.replicas import Replicas
from tests.durability.twins import Twins


@pytest.mark.slow
def test_nothing_is_lost_when_a_synchronous_replica_is_promoted(tmp_path, make_server, small_bundle, capsys):
    pair = Pair(make_server)
    twins = Twins(Fleet(tmp_path, devices=40, workers=2, rounds=12, cohort=20, seed=9), pair, small_bundle)
    twins.url = pair.both(twins.url)
    pair.synchronise()
    told, _ = twins.check(FailOver(twins.wild, Replicas(tmp_path / "wild", twins.url, 2), twins.task_id, pair))
    with capsys.disabled():
        print(told)
