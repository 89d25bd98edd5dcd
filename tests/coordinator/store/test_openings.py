"""What the ledger knows of sums that unmaskers open."""

from contextlib import closing

import pytest

from coordinator.errors import LedgerError
from coordinator.model.effects import Abandoned, Assigned, Frozen, Refused, Reported
from coordinator.store.ledger import Ledger
from coordinator.store.openings import Openings
from coordinator.store.round_log import Location
from coordinator.store.task_rows import Opening
from coordinator.store.transitions import Entry
from fedau2.v1.admin_pb2 import (
    ASSIGNMENT_STATE_REFUSED,
    ASSIGNMENT_STATE_REPORTED,
    ROUND_STATE_AGGREGATING,
    ROUND_STATE_COLLECTING,
    ROUND_STATE_OPENING,
    ROUND_STATE_SKIPPED,
    TASK_STATE_FINISHED,
    TASK_STATE_STOPPED,
)
from tests.coordinator.store.test_ledger import ROW

KEYS = [bytes([number] * 16) for number in range(3)]
HASH = bytes(range(32))
OPENED = Opening(HASH, b"\1", HASH[::-1])


@pytest.fixture
def ledger(database_url):
    """A ledger with a task, whose round has three contributions and is opening."""
    with closing(Ledger(database_url)) as made:
        made.prepare("folder")
        made.create_task(ROW)
        made.write([entry(Assigned(key, 0, 9.0)) for key in KEYS])
        made.write([entry(Reported(key, HASH), Location("log", 0, 5)) for key in KEYS])
        made.write([entry(Frozen(0))])
        yield made


def entry(effect, location=None):
    return Entry(ROW.task_id, 0, 5.0, effect, location)


def states(ledger):
    return {row.assignment_id: row for row in ledger.assignments(ROW.task_id, 0)}


def test_a_round_whose_set_is_fixed_is_opening_and_says_since_when(ledger):
    assert ledger.open_round(ROW.task_id, 0).state == ROUND_STATE_OPENING
    assert Openings(ledger).frozen((ROW.task_id, 0, 0)) == 5.0
    assert Openings(ledger).frozen((ROW.task_id, 0, 1)) == 0.0


def test_a_refused_contribution_keeps_its_hash_and_loses_its_place(ledger):
    ledger.write([entry(Refused(KEYS[0]))])
    found = states(ledger)
    assert (found[KEYS[0]].state, found[KEYS[0]].sha256) == (ASSIGNMENT_STATE_REFUSED, HASH)
    assert found[KEYS[0]].location is None
    assert found[KEYS[1]].state == ASSIGNMENT_STATE_REPORTED
    with pytest.raises(LedgerError):
        ledger.write([entry(Refused(KEYS[0]))])
    ledger.write([entry(Refused(KEYS[1])), entry(Abandoned(0, frozen=True))])
    newest = ledger.open_round(ROW.task_id, 0)
    assert (newest.attempt, newest.state) == (1, ROUND_STATE_COLLECTING)
    assert ledger.rounds(ROW.task_id, 0, 9)[0].assignments[ASSIGNMENT_STATE_REFUSED] == 2


def test_an_opened_sum_is_there_until_its_round_is_over(ledger):
    openings, key = Openings(ledger), (ROW.task_id, 0, 0)
    assert ledger.task(ROW.task_id).opening is None
    openings.open(key, OPENED, 6.0)
    assert ledger.open_round(ROW.task_id, 0).state == ROUND_STATE_AGGREGATING
    old = ledger.task(ROW.task_id)
    assert old.opening == OPENED
    with pytest.raises(LedgerError):
        openings.open(key, OPENED, 6.0)
    ledger.commit(old, 0, old.committed(HASH, HASH), 7.0)
    assert ledger.task(ROW.task_id).opening is None


def test_a_round_that_begins_anew_forgets_the_sum_that_was_opened(ledger):
    Openings(ledger).open((ROW.task_id, 0, 0), OPENED, 6.0)
    ledger.begin_anew([(ledger.task(ROW.task_id), 5)], 7.0)
    assert ledger.task(ROW.task_id).opening is None


@pytest.mark.parametrize("opened", [False, True])
def test_a_skipped_round_leaves_the_model_and_opens_the_next(ledger, opened):
    openings = Openings(ledger)
    if opened:
        openings.open((ROW.task_id, 0, 0), OPENED, 6.0)
    for number in range(ROW.rounds):
        old = ledger.task(ROW.task_id)
        openings.skip(old, old.passed_over(), 7.0)
        new = ledger.task(ROW.task_id)
        assert (new.round, new.checkpoint, new.kept) == (number + 1, ROW.checkpoint, ROW.kept)
    assert new.state == TASK_STATE_FINISHED
    assert {each.newest.state for each in ledger.rounds(ROW.task_id, 0, 9)} == {ROUND_STATE_SKIPPED}


def test_a_task_that_is_stopped_ends_its_opening_round(ledger):
    row = ledger.task(ROW.task_id)
    ledger.change_state(row, row.__class__(**{**vars(row), "state": TASK_STATE_STOPPED}), 8.0)
    assert not ledger.task(ROW.task_id).open


def test_contributions_that_are_lost_let_an_opening_round_collect_again(ledger):
    ledger.give_up(ROW.task_id, 0, KEYS[:1], 8.0)
    newest = ledger.open_round(ROW.task_id, 0)
    assert (newest.attempt, newest.state) == (1, ROUND_STATE_COLLECTING)


def test_the_newest_head_of_each_unmasker_is_kept(ledger):
    openings = Openings(ledger)
    assert openings.seen(HASH) == b""
    for head in (b"one", b"two"):
        openings.see(HASH, head)
    openings.see(HASH[::-1], b"other")
    assert (openings.seen(HASH), openings.seen(HASH[::-1])) == (b"two", b"other")
