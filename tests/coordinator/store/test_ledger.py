"""The ledger: compare-and-set with history, all or nothing."""

import sys
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.errors import LedgerError
from coordinator.model.effects import Abandoned, Assigned, Closed, Expired, Failed, Reported
from coordinator.store.ledger import Ledger
from coordinator.store.round_log import Location
from coordinator.store.tables import metadata
from coordinator.store.task_rows import KeptModel, TaskRow
from coordinator.store.transitions import Entry
from fedau2.v1 import admin_pb2
from fedau2.v1.device_pb2 import FAILURE_REASON_TRAINING
from fedau2.v1.task_pb2 import ClientVersions

KEYS = [bytes([number]) * 16 for number in range(4)]
SHA = b"s" * 32
ROW = TaskRow(
    task_id="task",
    population="movies",
    state=admin_pb2.TASK_STATE_RUNNING,
    created=1.0,
    rounds=2,
    round=0,
    manifest=b"m" * 32,
    closing=b"",
    checkpoint=b"0" * 32,
    server_state=b"a" * 32,
    versions=ClientVersions(minimum="0.1").SerializeToString(),
)


def entry(effect, location=None, at=2.0):
    return Entry("task", 0, at, effect, location)


def assigned(number):
    return entry(Assigned(KEYS[number], 0, 50.0))


def reported(number, offset=0):
    return entry(Reported(KEYS[number], SHA), Location("task-0.0", offset, 10))


@pytest.fixture
def ledger(database_url):
    ledger = Ledger(database_url)
    ledger.prepare("folder")
    ledger.create_task(ROW)
    yield ledger
    ledger.close()


def dump(ledger):
    with ledger._database.reading() as connection:
        return {
            name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for name, table in metadata.tables.items()
        }


def state_of(ledger, number):
    return ledger.recall([KEYS[number]])[KEYS[number]].state


def test_a_task_comes_back_as_it_was_stored(ledger):
    assert ledger.tasks() == [ROW]
    row = ledger.open_round("task", 0)
    assert (row.attempt, row.state, row.opened) == (0, admin_pb2.ROUND_STATE_COLLECTING, 1.0)


def test_a_population_has_one_running_task(ledger):
    before = dump(ledger)
    with pytest.raises(LedgerError, match=r"(?i)unique"):
        ledger.create_task(replace(ROW, task_id="other"))
    assert dump(ledger) == before
    ledger.change_state(ROW, replace(ROW, state=admin_pb2.TASK_STATE_PAUSED), 2.0)
    with pytest.raises(LedgerError, match=r"(?i)unique"):
        ledger.create_task(replace(ROW, task_id="other"))
    ledger.create_task(replace(ROW, task_id="finished", state=admin_pb2.TASK_STATE_FINISHED))


def test_a_group_of_effects_is_one_transition_each_with_history(ledger):
    ledger.write([assigned(number) for number in range(4)])
    ledger.write(
        [
            reported(0, 7),
            entry(Expired(KEYS[1])),
            reported(2, 99),
            entry(Failed(KEYS[3], FAILURE_REASON_TRAINING)),
            entry(Abandoned(0)),
            entry(Closed(1)),
        ]
    )
    first = ledger.recall([KEYS[0]])[KEYS[0]]
    assert (first.sha256, first.location) == (SHA, Location("task-0.0", 7, 10))
    assert [state_of(ledger, number) for number in range(4)] == [2, 4, 2, 3]
    attempt = ledger.open_round("task", 0)
    assert (attempt.attempt, attempt.state, attempt.opened) == (1, admin_pb2.ROUND_STATE_AGGREGATING, 2.0)
    history = dump(ledger)
    assert sorted(row[1:4] for row in history["assignment_history"]) == sorted(
        [(key, 0, 1) for key in KEYS] + [(key, 1, end) for key, end in zip(KEYS, (2, 4, 2, 3), strict=True)]
    )
    assert [row[3:6] for row in history["round_history"]] == [(0, 0, 1), (0, 1, 4), (1, 0, 1), (1, 1, 2)]


@pytest.mark.parametrize(
    "wrong",
    [
        reported(0),  # reported before
        entry(Expired(KEYS[0])),
        entry(Failed(KEYS[0], FAILURE_REASON_TRAINING)),
        reported(3),  # never assigned
        entry(Abandoned(1)),  # there is no such attempt
        entry(Closed(1)),
    ],
)
def test_a_row_in_another_state_undoes_the_whole_group(ledger, wrong):
    ledger.write([assigned(0), assigned(1)])
    ledger.write([reported(0)])
    before = dump(ledger)
    with pytest.raises(LedgerError, match="someone else"):
        ledger.write([reported(1), wrong])
    assert dump(ledger) == before


def test_a_commit_moves_task_round_and_leases_together(ledger):
    ledger.write([assigned(0), assigned(1)])
    ledger.write([reported(0), entry(Closed(0))])
    norms = admin_pb2.ContributionNorms(shared={"largest": 7}).SerializeToString()
    new = ROW.committed(b"1" * 32, b"b" * 32, norms)
    ledger.commit(ROW, 0, new, 3.0)
    assert ledger.tasks() == [new]
    assert [summary.norms for summary in ledger.rounds("task", 0, 9)] == [norms, b""]
    assert (new.round, new.state) == (1, admin_pb2.TASK_STATE_RUNNING)
    assert new.kept == (KeptModel(0, ROW.checkpoint, ROW.server_state),)
    assert [state_of(ledger, number) for number in (0, 1)] == [2, 4]
    assert ledger.open_round("task", 1).opened == 3.0
    assert (KEYS[1], 1, 4, 3.0) in [row[1:] for row in dump(ledger)["assignment_history"]]
    assert dump(ledger)["round"][0][3:] == (admin_pb2.ROUND_STATE_COMMITTED, 1.0, b"1" * 32, b"b" * 32, norms)


def test_the_last_commit_finishes_the_task(ledger):
    row = ROW
    for number in range(2):
        ledger.write([Entry("task", number, 2.0, Closed(0))])
        old, row = row, row.committed(b"1" * 32, b"b" * 32)
        ledger.commit(old, 0, row, 3.0)
    assert ledger.tasks()[0].state == admin_pb2.TASK_STATE_FINISHED
    with pytest.raises(LedgerError, match="no round 2"):
        ledger.open_round("task", 2)


def test_a_commit_happens_once_and_only_after_the_round_is_closed(ledger):
    new = ROW.committed(b"1" * 32, b"b" * 32)
    before = dump(ledger)
    with pytest.raises(LedgerError):
        ledger.commit(ROW, 0, new, 3.0)
    assert dump(ledger) == before
    ledger.write([entry(Closed(0))])
    ledger.commit(ROW, 0, new, 3.0)
    before = dump(ledger)
    with pytest.raises(LedgerError):
        ledger.commit(ROW, 0, new, 4.0)
    assert dump(ledger) == before


def in_state(state):
    return replace(ROW, state=state)


PAUSED, STOPPED = in_state(admin_pb2.TASK_STATE_PAUSED), in_state(admin_pb2.TASK_STATE_STOPPED)


def test_a_task_moves_between_its_states_with_history(ledger):
    ledger.change_state(ROW, PAUSED, 2.0)
    ledger.change_state(PAUSED, ROW, 3.0)
    assert ledger.tasks() == [ROW]
    assert [row[1:] for row in dump(ledger)["task_history"]] == [
        ("task", 0, 1, 1.0),
        ("task", 1, 3, 2.0),
        ("task", 3, 1, 3.0),
    ]
    assert ledger.open_round("task", 0).state == admin_pb2.ROUND_STATE_COLLECTING


def test_a_stop_ends_task_round_and_leases_together(ledger):
    ledger.write([assigned(0), assigned(1), entry(Abandoned(0))])
    ledger.write([reported(0)])
    ledger.change_state(ROW, STOPPED, 3.0)
    assert ledger.tasks() == [STOPPED]
    assert [state_of(ledger, number) for number in (0, 1)] == [2, 4]
    attempt = ledger.open_round("task", 0)
    assert (attempt.attempt, attempt.state) == (1, admin_pb2.ROUND_STATE_ABANDONED)
    history = dump(ledger)
    assert history["round_history"][-1][3:] == (1, 1, 4, 3.0)
    assert history["assignment_history"][-1][1:] == (KEYS[1], 1, 4, 3.0)
    assert history["task_history"][-1][1:] == ("task", 1, 4, 3.0)


def test_a_stop_of_a_round_that_is_being_committed_changes_nothing(ledger):
    ledger.write([assigned(0), entry(Closed(0))])
    before = dump(ledger)
    with pytest.raises(LedgerError, match="round rows"):
        ledger.change_state(ROW, STOPPED, 3.0)
    with pytest.raises(LedgerError, match="task rows"):
        ledger.change_state(PAUSED, STOPPED, 3.0)
    assert dump(ledger) == before


def test_a_paused_task_stays_paused_over_a_commit(ledger):
    ledger.write([entry(Closed(0))])
    ledger.change_state(ROW, PAUSED, 2.5)
    ledger.commit(PAUSED, 0, PAUSED.committed(b"1" * 32, b"b" * 32), 3.0)
    assert ledger.tasks()[0].state == admin_pb2.TASK_STATE_PAUSED
    assert ledger.open_round("task", 1).state == admin_pb2.ROUND_STATE_COLLECTING


def test_sqlite_syncs_every_transaction(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with ledger._database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    ledger.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "cannot be used"),
        ("sqlite://", "must be kept in a file"),
        ("sqlite:///:memory:", "must be kept in a file"),
        ("sqlite:///file:ledger.sqlite?uri=true", "must be kept in a file"),
        ("sqlite:////no/such/folder/ledger.sqlite", "unable to open"),
        ("mysql://here/ledger", "SQLite or PostgreSQL, not in mysql"),
        ("postgresql://nobody@127.0.0.1:1/ledger", "cannot be used"),
    ],
)
def test_a_ledger_that_cannot_be_opened_is_a_ledger_error(url, reason):
    with pytest.raises(LedgerError, match=reason):
        Ledger(url)


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(LedgerError, match=r"pip install 'fedau2\[postgres\]'"):
        Ledger("postgresql://here/ledger")


def test_contributions_that_cannot_be_read_are_given_up_with_history(ledger):
    ledger.write([assigned(number) for number in range(3)])
    ledger.write([reported(0), reported(1)])
    ledger.give_up("task", 0, [KEYS[0]], 3.0)
    assert [state_of(ledger, number) for number in range(3)] == [4, 2, 1]
    given_up = ledger.recall([KEYS[0]])[KEYS[0]]
    assert (given_up.location, given_up.sha256) == (None, b"")
    assert dump(ledger)["assignment_history"][-1][1:] == (KEYS[0], 2, 4, 3.0)
    assert ledger.open_round("task", 0).attempt == 0
    before = dump(ledger)
    for number in (0, 2):  # given up before; never reported
        with pytest.raises(LedgerError, match="someone else"):
            ledger.give_up("task", 0, [KEYS[1], KEYS[number]], 4.0)
    assert dump(ledger) == before


@pytest.mark.parametrize("end", [admin_pb2.TASK_STATE_RUNNING, admin_pb2.TASK_STATE_STOPPED])
def test_a_task_is_put_back_with_its_round_and_history_in_one_transaction(ledger, end):
    ledger.write([assigned(number) for number in range(3)])
    ledger.write([reported(0), entry(Closed(0))])
    new = ROW.committed(b"1" * 32, b"b" * 32, keep=3)
    ledger.commit(ROW, 0, new, 3.0)
    old = replace(new, state=end)
    if end != new.state:
        ledger.change_state(new, old, 4.0)
    back = old.put_back(old.kept_model(0), 5)
    before = dump(ledger)
    with pytest.raises(LedgerError, match="someone else"):
        ledger.put_back(replace(old, state=admin_pb2.TASK_STATE_PAUSED), back, 0, 5.0)
    assert dump(ledger) == before
    ledger.put_back(old, back, 0, 5.0)
    assert ledger.tasks() == [back]
    assert (back.round, back.checkpoint, back.server_state, back.skipped) == (1, ROW.checkpoint, ROW.server_state, 5)
    rows = dump(ledger)
    assert [row[1:] for row in rows["rollback_history"]] == [("task", 1, 0, 5.0)]
    assert len(rows["round"]) == (3 if back.open else 2)
    assert [row[:2] for row in rows["kept_model"]] == [("task", 0)]


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), max_size=12))
def test_a_task_keeps_its_newest_models_only(keeps):
    row = replace(ROW, rounds=99)
    for number, keep in enumerate(keeps):
        before, row = row, row.committed(bytes([number + 1]) * 32, b"b" * 32, keep=keep)
        assert row.kept == (*before.kept, KeptModel(number, before.checkpoint, before.server_state))[-keep:]
        assert len(row.kept) <= keep


def test_a_closed_round_that_loses_a_contribution_is_taken_up_again(ledger):
    ledger.write([assigned(0)])
    ledger.write([reported(0), entry(Closed(0))])
    ledger.give_up("task", 0, [KEYS[0]], 3.0)
    newest = ledger.open_round("task", 0)
    assert (newest.attempt, newest.state, newest.opened) == (1, admin_pb2.ROUND_STATE_COLLECTING, 3.0)
    assert dump(ledger)["round"][0][3] == admin_pb2.ROUND_STATE_ABANDONED
