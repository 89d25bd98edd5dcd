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
@pytest.mark.parametrize("lost", [1, 2])
def test_a_replica_that_lacks_transactions_is_refused_and_can_be_accepted(
    tmp_path, make_server, small_bundle, capsys, lost
):
    """It was behind when the primary died. It can go on if it lacks fewer rounds than there are kept models."""
    pair = Pair(make_server)
    replicas = Replicas(tmp_path, pair.both(database(pair, "ledger")), 2)
    with service(tmp_path, replicas, small_bundle) as running:
        running.take_part()
        assert running.answer(running.clients[0]) == UPLOADED
        pair.await_caught_up()
        pair.replica.stop()
        running.take_part(running.clients[1:])
        for _ in range(1, lost):
            running.take_part()
        assert running.answer(running.clients[2]) == UPLOADED
        home, known = running.home(), running.commits()
        pair.primary.kill()
        pair.replica.start()
        pair.replica.promote()
        replicas.await_ends()
        assert running.home() == home
        refusal = f"the ledger has lost transactions: it has {running.commits()} of the {known}"
        logs = replicas.logs()
        assert refusal in logs
        assert "--accept-ledger" in logs
        assert running.doctor() == 1
        shown = capsys.readouterr().out
        assert refusal in shown
        assert f"it does not know round {1 + lost}" in shown
        running.doctor("--accept-ledger")
        if lost == 1:
            go_on(running)
        else:
            replicas.await_ends()
            refusal = capsys.readouterr().err
            assert "the checkpoint of task" in refusal
            assert "put the file back from a copy" in refusal
