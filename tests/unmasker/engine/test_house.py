"""What is written into the log by itself: the rules when they change, and every day how many devices there are."""

from contextlib import closing

import pytest

from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_INVITATION, EVIDENCE_CLASS_OPEN
from tests.unmasker.conftest import RULES
from tests.unmasker.device import Device
from tests.unmasker.engine.test_enrolment import enrolled, invite, pseudonym, revoke
from tests.unmasker.engine.test_rounds import audited
from unmasker import Books, Rules, Unmasker
from unmasker.engine import reading
from unmasker.evidence.anybody import Anybody

DAY = 86400


def days(unmasker):
    """Per day: live devices by class, and the revoked."""
    return [
        ({count.evidence_class: count.live for count in entry.day.classes}, entry.day.revoked)
        for entry in audited(unmasker).entries
        if entry.HasField("day")
    ]


def test_every_day_the_number_of_devices_by_class_is_in_the_log_once(either, clock):
    devices = [enrolled(either, Device()) for _ in range(3)]
    enrolled(either, Device(), EVIDENCE_CLASS_INVITATION, invite(either))
    either.keep_house()
    assert days(either) == []
    clock.now += DAY
    either.keep_house()
    either.keep_house()
    today = ({EVIDENCE_CLASS_OPEN: 3, EVIDENCE_CLASS_INVITATION: 1}, 0)
    assert days(either) == [today]
    revoke(either, devices[0])
    clock.now += 5 * DAY  # without an unmasker
    either.keep_house()
    assert days(either) == [today, ({EVIDENCE_CLASS_OPEN: 2, EVIDENCE_CLASS_INVITATION: 1}, 1)]
    clock.now += 90 * DAY
    either.keep_house()
    assert days(either)[-1] == ({}, 1)


def test_a_clock_that_is_set_back_writes_no_day_again(unmasker, clock):
    clock.now += DAY
    unmasker.keep_house()
    clock.now -= DAY
    unmasker.keep_house()
    clock.now += DAY
    unmasker.keep_house()
    assert len(days(unmasker)) == 1


def test_rules_are_in_the_log_when_they_change_and_only_then(folder, clock):
    Books.make(folder, None, clock).close()
    wanted = [RULES, RULES, Rules((Anybody(),), 30), Rules((Anybody(),), 30, key_days=3), RULES]
    for rules in wanted:
        with closing(Unmasker.open(folder, rules, None, clock)) as made:
            logged = [entry.rules for entry in audited(made).entries if entry.HasField("rules")]
            assert logged[-1] == rules.message == reading.status(made.books).rules
    assert logged == [RULES.message, wanted[2].message, RULES.message]


def test_who_is_enrolled_is_not_in_the_log(unmasker, clock):
    device = Device()
    certificate = enrolled(unmasker, device)
    revoke(unmasker, certificate)
    clock.now += DAY
    unmasker.keep_house()
    said = b"".join(response.SerializeToString() for response in reading.whole_log(unmasker.books))
    assert pseudonym(certificate) not in said
    assert device.public_key not in said


@pytest.mark.parametrize("field", ["entry", "begin"])
def test_every_answer_of_the_log_is_of_a_kind(unmasker, field):
    kinds = [response.WhichOneof("part") for response in reading.whole_log(unmasker.books)]
    assert (kinds[0], set(kinds[1:])) == ("begin", {"entry"})
    assert field in kinds
