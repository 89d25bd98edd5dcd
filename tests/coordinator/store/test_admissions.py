"""What the ledger keeps of admissions: no order, and nothing of a round that is over."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.model.effects import Closed
from coordinator.store import database
from coordinator.store.admissions import AdmissionBook
from coordinator.store.ledger import Ledger
from coordinator.store.openings import Openings
from coordinator.store.tables import admission_issue, admission_key
from coordinator.store.transitions import Entry
from fedau2.v1.admin_pb2 import TASK_STATE_PAUSED, TASK_STATE_STOPPED
from tests.coordinator.store.test_ledger import ROW

HOLDERS = [bytes([number] * 32) for number in range(8)]
ROUND = (ROW.task_id, 0)
STOPPED = replace(ROW, state=TASK_STATE_STOPPED)


def commit(ledger):
    ledger.write([Entry(ROW.task_id, 0, 5.0, Closed(0))])
    ledger.commit(ROW, 0, ROW.committed(b"1" * 32, b"b" * 32, b"", 1, b""), 6.0)


ENDS = {
    "committed": commit,
    "skipped": lambda ledger: Openings(ledger).skip(ROW, ROW.passed_over(), 6.0),
    "stopped": lambda ledger: ledger.change_state(ROW, STOPPED, 6.0),
    "replaced": lambda ledger: ledger.succeed(ROW, STOPPED, replace(ROW, task_id="next", created=6.0)),
    "begun anew from a copy": lambda ledger: ledger.begin_anew([(ROW, 10)], 6.0),
}


def filled(url, holders=HOLDERS):
    ledger = Ledger(url)
    ledger.prepare("folder")
    ledger.create_task(ROW)
    book = AdmissionBook(ledger)
    assert book.keep(ROUND, b"key") == b"key"
    for holder in holders:
        assert book.issue(ROUND, holder, holder)
    return ledger


def kept(ledger):
    return [len(ledger.rows(sa.select(table.c.task_id))) for table in (admission_key, admission_issue)]


@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_kept_of_a_round_that_is_over(database_url, end):
    with closing(filled(database_url)) as ledger:
        assert kept(ledger) == [1, len(HOLDERS)]
        ENDS[end](ledger)
        assert kept(ledger) == [0, 0]


@pytest.mark.parametrize("end", ["committed", "stopped"])
def test_what_comes_too_late_for_its_round_is_not_kept(database_url, end):
    with closing(filled(database_url)) as ledger:
        ENDS[end](ledger)
        book = AdmissionBook(ledger)
        assert book.keep(ROUND, b"late") == b"late"
        assert book.issue(ROUND, HOLDERS[0], HOLDERS[0]) is None
        assert kept(ledger) == [0, 0]


def test_a_round_goes_on_with_its_key_and_an_identity_has_one_admission(database_url):
    with closing(filled(database_url)) as ledger:
        ledger.change_state(ROW, replace(ROW, state=TASK_STATE_PAUSED), 6.0)
        book = AdmissionBook(ledger)
        assert book.keep(ROUND, b"other") == b"key"
        assert book.issue(ROUND, HOLDERS[0], HOLDERS[0])
        assert book.issue(ROUND, HOLDERS[0], HOLDERS[1]) is False


def rows(path):
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="rowid"):
            connection.execute("SELECT rowid FROM admission_issue")
        return connection.execute("SELECT * FROM admission_issue").fetchall()


@settings(max_examples=4)
@given(st.permutations(HOLDERS))
def test_the_table_does_not_tell_the_order_in_which_identities_came(tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("order")
    found = []
    for name, holders in (("one", HOLDERS), ("two", order)):
        filled(database.sqlite(folder / name), holders).close()
        found.append(rows(folder / name))
    assert found[0] == found[1]
    assert len(found[0]) == len(HOLDERS)


def test_deleted_keys_are_overwritten(tmp_path):
    secret = b"a private key of some length"
    with closing(Ledger(database.sqlite(tmp_path / "ledger"))) as ledger:
        ledger.prepare("folder")
        ledger.create_task(ROW)
        AdmissionBook(ledger).keep(ROUND, secret)
        ledger.checkpoint()
        assert secret in (tmp_path / "ledger").read_bytes()
        ledger.change_state(ROW, STOPPED, 6.0)
        ledger.checkpoint()
        assert secret not in (tmp_path / "ledger").read_bytes()
