"""The lease: one coordinator leads, the server ends a lease that nobody keeps, and a leader that lost it is told."""

import secrets
import threading
import time
from contextlib import closing

import pytest
import sqlalchemy as sa

from coordinator.errors import LedgerError, SettingError
from coordinator.store.lease import Lease
from coordinator.store.ledger import Ledger
from tests.coordinator import silence
from tests.coordinator.postgres import administration, fresh_database


def lease(url, name, seconds=60):
    return closing(Lease(url, name, seconds))


def end_sessions(postgres, name):
    with administration(postgres) as connection:
        end = sa.text("SELECT pg_terminate_backend(pid, 3000) FROM pg_stat_activity WHERE application_name = :name")
        return len(connection.execute(end, {"name": name}).all())


def taken(waiting):
    """Looks until the lease is taken."""
    while not waiting.leads:
        waiting.seek()
        time.sleep(0.01)
    return True


def test_one_leads_and_the_others_know_where_it_is(postgres_url):
    with lease(postgres_url, "first:1") as first, lease(postgres_url, "second:2") as second:
        assert first.seek() == "first:1"
        assert [second.seek(), second.seek()] == ["first:1"] * 2
        assert (first.leads, second.leads) == (True, False)
        first.close()
        assert taken(second)
        assert second.seek() == "second:2"


def test_ledgers_of_one_server_have_leaders_of_their_own(postgres, postgres_url):
    with fresh_database(postgres) as other, lease(postgres_url, "first:1") as first, lease(other, "second:2") as second:
        assert (first.seek(), second.seek()) == ("first:1", "second:2")


def test_the_server_ends_a_lease_that_nobody_keeps(postgres_url):
    with lease(postgres_url, "stopped:1", seconds=0.8) as stopped, lease(postgres_url, "second:2") as second:
        stopped.seek()
        assert taken(second)
        with pytest.raises(LedgerError, match="cannot be used"):
            stopped.home()
        with pytest.raises(LedgerError, match="has ended"):
            stopped.home()


def test_a_kept_lease_lasts_and_its_loss_is_told(postgres, postgres_url):
    lost = threading.Event()
    with lease(postgres_url, "first:1", seconds=0.8) as first, lease(postgres_url, "second:2") as second:
        first.seek()
        first.keep(lost.set)
        began = time.monotonic()
        while time.monotonic() < began + 1.6:  # twice the lease: the signs of life keep it
            assert second.seek() == "first:1"
        assert not lost.is_set()
        assert end_sessions(postgres, "first:1") == 1
        assert taken(second)
        assert lost.wait(10)
        with pytest.raises(LedgerError, match="has ended"):
            first.expect()


def test_a_lease_that_is_given_back_is_not_lost(postgres_url):
    with lease(postgres_url, "first:1", seconds=0.8) as first:
        first.seek()
        first.keep(lambda: pytest.fail("given back"))
    for thread in threading.enumerate():
        if thread.name == "coordinator-lease":
            thread.join()


def test_a_leader_that_hears_nothing_is_told_and_can_end(postgres_url, tmp_path):
    lost = threading.Event()
    with silence.line(postgres_url, tmp_path) as line, lease(line.url, "first:1", seconds=0.8) as first:
        first.seek()
        first.keep(lost.set)
        line.fall_silent()
        assert lost.wait(10)
        with pytest.raises(LedgerError, match="has ended"):
            first.expect()
        first.close()


def test_a_stand_by_that_hears_nothing_does_not_wait_for_ever(postgres_url, tmp_path):
    with lease(postgres_url, "first:1") as first, silence.line(postgres_url, tmp_path) as line:
        first.seek()
        with lease(line.url, "second:2", seconds=0.8) as second:
            assert second.seek() == "first:1"
            line.fall_silent()
            with pytest.raises(LedgerError, match="has not answered for"):
                second.seek()


def test_a_stand_by_whose_connection_was_lost_connects_anew(postgres, postgres_url):
    with lease(postgres_url, "first:1") as first, lease(postgres_url, "second:2") as second:
        first.seek(), second.seek()
        assert end_sessions(postgres, "second:2") == 1
        with pytest.raises(LedgerError):
            second.seek()
        assert second.seek() == "first:1"


def test_a_new_leader_ends_the_sessions_in_which_others_wrote_and_no_others(postgres_url):
    with lease(postgres_url, "first:1") as first, closing(Ledger(first.term_url)) as ledger:
        ledger.prepare("0" * 32)
        with lease(postgres_url, "second:2") as second:
            assert second.seek()
            second.end_former_terms()
        with pytest.raises(LedgerError):
            ledger.tasks()
    with closing(Ledger(postgres_url)) as alone, lease(postgres_url, "third:3") as third:
        third.seek()
        third.end_former_terms()
        assert alone.tasks() == []


def test_the_ledger_moves_to_another_folder_once_for_each_state_of_it(postgres_url):
    old, new = "0" * 32, "1" * 32
    with closing(Ledger(postgres_url)) as ledger:
        ledger.prepare(old)
    with lease(postgres_url, "first:1") as first:
        first.seek()
        for folder, commits in ((old, 7), (new, 0)):
            with pytest.raises(LedgerError, match="changed by somebody else"):
                first.move(folder, new, commits)
        first.move(old, new, 0)
        assert first.home() == new
    with closing(Ledger(postgres_url)) as ledger:
        assert (ledger.folder, ledger.commits) == (new, 1)


@pytest.mark.parametrize("url", ["sqlite:///ledger.sqlite", "mysql://host/ledger", "nothing"])
def test_only_postgresql_has_leases(url):
    with pytest.raises(LedgerError):
        Lease(url, "first:1", 10)


def test_a_coordinator_whose_role_could_not_take_over_is_told_at_its_start(postgres, postgres_url):
    role = f"stranger_{secrets.token_hex(4)}"
    with administration(postgres) as connection:
        leader = connection.execute(sa.text("SELECT current_user")).scalar_one()
        connection.execute(sa.text(f"CREATE ROLE {role}"))
        try:
            acting = sa.make_url(postgres_url).update_query_dict({"options": f"-c role={role}"})
            as_stranger = acting.render_as_string(hide_password=False)
            with lease(postgres_url, "first:1") as first, lease(as_stranger, "second:2") as second:
                first.seek()
                with pytest.raises(SettingError, match="let all coordinators use one role"):
                    second.seek()
                connection.execute(sa.text(f'GRANT "{leader}" TO {role}'))
                assert second.seek() == "first:1"
        finally:
            connection.execute(sa.text(f"DROP ROLE {role}"))
