"""The ledger of several coordinators is older than its devices: a copy was restored, or an idle replica promoted."""

import shutil

import pytest

pytest.importorskip("psycopg", reason="the extra postgres is not installed")

from tests.durability.clients import DEVICES, TOO_SOON, UPLOADED, service
from tests.durability.failover import Pair
from tests.durability.replicas import Replicas
from tests.durability.twins import database


def go_on(running):
    """Devices that took part in rounds that the ledger does not know take part again, and none counts twice."""
    assert running.answer(running.clients[0]) == UPLOADED
    assert running.answer(running.clients[0]) == TOO_SOON
    running.take_part(running.clients[1:])
    running.take_part()
    assert set(running.counted()) == {DEVICES}


@pytest.mark.slow
def test_devices_that_took_part_after_the_copy_go_on(tmp_path, server, small_bundle):
    url = database(server, "ledger")
    replicas = Replicas(tmp_path, url, 2)
    with service(tmp_path, replicas, small_bundle) as running:
        running.take_part()
        assert running.answer(running.clients[0]) == UPLOADED  # in the round that is open in the copy
        replicas.stop()
        older = database(server, "older", "ledger")
        shutil.copytree(replicas.shared, tmp_path / "copy")
        replicas.supervise()
        running.take_part(running.clients[1:])
        running.take_part()
        replicas.stop()
        shutil.rmtree(replicas.shared)
        (tmp_path / "copy").rename(replicas.shared)
        replicas.use(older)
        assert running.committed() == 1
        assert running.doctor() == 0
        assert running.doctor("--accept-ledger") == 0
        go_on(running)


@pytest.mark.slow
def test_a_replica_that_lacks_transactions_is_refused_and_can_be_accepted(tmp_path, make_server, small_bundle):
    """As an asynchronous replica does that was behind when the primary died."""
    pair = Pair(make_server)
    url = pair.both(database(pair, "ledger"))
    replicas = Replicas(tmp_path, url, 2)
    with service(tmp_path, replicas, small_bundle) as running:
        running.take_part()
        assert running.answer(running.clients[0]) == UPLOADED
        pair.await_caught_up()
        pair.replica.stop()
        running.take_part(running.clients[1:])
        running.take_part()
        home = running.home()
        known = running.commits()
        pair.primary.kill()
        pair.replica.start()
        pair.replica.promote()
        replicas.await_ends()
        assert running.commits() < known
        logs = replicas.logs()
        assert f"the ledger has lost transactions: it has {running.commits()} of the {known}" in logs
        assert "--accept-ledger" in logs
        assert running.home() == home
        assert running.doctor() == 1
        assert running.doctor("--accept-ledger") == 0
        go_on(running)
