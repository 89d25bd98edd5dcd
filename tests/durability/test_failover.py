"""The database fails over: coordinators go on at the replica, and what they acknowledged is there."""

from contextlib import closing

import pytest

pytest.importorskip("psycopg", reason="the extra postgres is not installed")

from coordinator.errors import LedgerError
from coordinator.store.lease import Lease
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


@pytest.mark.slow
def test_the_lease_is_that_of_the_server_that_can_be_written(make_server):
    pair = Pair(make_server)
    replica = pair.replica.url.render_as_string()
    with closing(Lease(replica, "first:1", 60)) as lease, pytest.raises(LedgerError, match="is a replica"):
        lease.seek()
    with closing(Lease(pair.both(replica), "first:1", 60)) as lease:
        lease.seek()
        assert lease.leads
        server, timeline = lease.timeline()
    pair.fail_over()
    with closing(Lease(pair.both(replica), "second:2", 60)) as lease:
        lease.seek()
        assert lease.leads
        assert lease.timeline() == (server, timeline + 1)
