"""Enrolment: one valid certificate a holder, the same answer to the same question, and nothing for anybody else."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_INVITATION, EVIDENCE_CLASS_OPEN, EVIDENCE_CLASS_TOKEN
from fedau2.wire.identity import checks
from fedau2.wire.identity.certificate import Certificate
from tests.unmasker.device import Device
from unmasker.engine.unmasker import ENROLMENTS
from unmasker.errors import BusyError, EvidenceError, InvalidRequestError, RevokedError, TakenError
from unmasker.evidence import invitations
from unmasker.store import holders

DAY = 86400


def enrolled(unmasker, device, evidence_class=EVIDENCE_CLASS_OPEN, evidence=b""):
    request = device.request(unmasker.books.keys.public.identity, evidence_class, evidence)
    response = unmasker.enrol(request)
    authority = checks.authority(response.authority, unmasker.books.keys.public.identity)
    certificate = checks.certificate(response.certificate, authority, unmasker.books.clock())
    assert certificate.public_key == device.public_key
    return response.certificate


def verdicts(unmasker, *certificates, since=None, accepted=(EVIDENCE_CLASS_OPEN,)):
    read = [Certificate.read(data)[0] for data in certificates]
    now = unmasker.books.clock()
    with unmasker.books.reading() as connection:
        return holders.verdicts(connection, read, accepted, now if since is None else since, now)


def pseudonym(certificate):
    return certificate[2:18]


def invite(unmasker, days=30):
    with unmasker.books.writing() as page:
        return invitations.invite(page, days).encode()


def revoke(unmasker, certificate):
    with unmasker.books.writing() as page:
        assert holders.revoke(page, pseudonym(certificate))


def test_the_same_question_has_the_same_answer_and_a_pseudonym_says_nothing(either):
    devices = [Device() for _ in range(5)]
    certificates = [enrolled(either, device) for device in devices]
    assert [enrolled(either, device) for device in devices] == certificates
    assert len({pseudonym(certificate) for certificate in certificates}) == 5
    assert verdicts(either, *certificates) == [True] * 5


def test_a_device_that_enrols_too_often_is_asked_to_come_back_and_others_are_not(unmasker, clock):
    often = Device()
    for _ in range(ENROLMENTS):
        enrolled(unmasker, often)
    with pytest.raises(BusyError):
        enrolled(unmasker, often)
    enrolled(unmasker, Device())
    clock.now += 60 // ENROLMENTS
    enrolled(unmasker, often)


def test_the_doubled_the_expired_and_the_revoked_do_not_count(either, clock):
    first, second, third = (enrolled(either, Device()) for _ in range(3))
    assert verdicts(either, first, first, second) == [False, False, True]
    revoke(either, second)
    assert verdicts(either, first, second, third) == [True, False, True]
    clock.now += 90 * DAY - 1
    assert verdicts(either, first, third) == [True, True]
    clock.now += 1
    assert verdicts(either, first, third) == [False, False]


def test_a_certificate_that_the_books_do_not_have_does_not_count(unmasker, clock):
    unknown = Certificate(EVIDENCE_CLASS_OPEN, b"p" * 16, b"k" * 32, int(clock()), int(clock()) + DAY)
    assert verdicts(unmasker, unmasker.books.keys.certify(unknown)) == [False]


def test_it_is_renewed_at_half_of_its_life_with_the_same_pseudonym(unmasker, clock):
    device = Device()
    first = enrolled(unmasker, device)
    clock.now += 45 * DAY - 1
    assert enrolled(unmasker, device) == first
    clock.now += 1
    second = enrolled(unmasker, device)
    assert second != first
    assert pseudonym(second) == pseudonym(first)
    assert verdicts(unmasker, first, second) == [False, False], "they are of one holder"
    assert verdicts(unmasker, first) == verdicts(unmasker, second) == [True], "a contribution may have the one before"


def test_the_revoked_are_enrolled_no_more(unmasker, clock):
    device, code = Device(), invite(unmasker)
    certificate = enrolled(unmasker, device, EVIDENCE_CLASS_INVITATION, code)
    revoke(unmasker, certificate)
    revoke(unmasker, certificate)
    for moved in (0, 100 * DAY):
        clock.now += moved
        for other in (device, Device()):
            with pytest.raises(RevokedError):
                enrolled(unmasker, other, EVIDENCE_CLASS_INVITATION, code)


def test_an_invitation_is_for_one_device(either, clock):
    device, code = Device(), invite(either)
    certificate = enrolled(either, device, EVIDENCE_CLASS_INVITATION, code.lower().replace(b"-", b" "))
    assert enrolled(either, device, EVIDENCE_CLASS_INVITATION, code) == certificate
    with pytest.raises(TakenError):
        enrolled(either, Device(), EVIDENCE_CLASS_INVITATION, code)
    clock.now += 60 * DAY  # longer than a code can be used for the first time
    assert pseudonym(enrolled(either, device, EVIDENCE_CLASS_INVITATION, code)) == pseudonym(certificate)


def test_codes_that_nobody_gave_out_or_that_are_old_enrol_nobody(unmasker, clock):
    code = invite(unmasker, days=1)
    clock.now += DAY
    for wrong in (code, b"", b"AAAA-AAAA-AAAA-AAAA-AAAA", code[:-1], code * 20, bytes(range(256))):
        with pytest.raises(EvidenceError):
            enrolled(unmasker, Device(), EVIDENCE_CLASS_INVITATION, wrong)


def test_a_key_has_one_holder(unmasker):
    device, code = Device(), invite(unmasker)
    enrolled(unmasker, device, EVIDENCE_CLASS_INVITATION, code)
    for evidence in ((EVIDENCE_CLASS_INVITATION, invite(unmasker)), (EVIDENCE_CLASS_OPEN, b"")):
        with pytest.raises(TakenError):
            enrolled(unmasker, device, *evidence)
    with pytest.raises(TakenError):
        enrolled(unmasker, Device(), EVIDENCE_CLASS_INVITATION, code)


def test_a_device_without_evidence_may_bring_some_later_and_keeps_its_pseudonym(either):
    device, code = Device(), invite(either)
    before = enrolled(either, device)
    after = enrolled(either, device, EVIDENCE_CLASS_INVITATION, code)
    assert pseudonym(after) == pseudonym(before)
    assert Certificate.read(after)[0].evidence_class == EVIDENCE_CLASS_INVITATION
    other = Device()
    enrolled(either, other)
    with pytest.raises(TakenError):
        enrolled(either, other, EVIDENCE_CLASS_INVITATION, code)
    revoke(either, enrolled(either, other))
    with pytest.raises(TakenError):
        enrolled(either, other, EVIDENCE_CLASS_INVITATION, invite(either))


def test_without_evidence_a_certificate_is_good_while_such_ones_are_given_out(unmasker):
    plain = enrolled(unmasker, Device())
    invited = enrolled(unmasker, Device(), EVIDENCE_CLASS_INVITATION, invite(unmasker))
    assert verdicts(unmasker, plain, invited, accepted=(EVIDENCE_CLASS_OPEN,)) == [True, True]
    assert verdicts(unmasker, plain, invited, accepted=(EVIDENCE_CLASS_TOKEN,)) == [False, True]


def test_what_was_current_when_the_round_was_opened_is_good(unmasker, clock):
    """A device has contributed in between, and its contribution was acknowledged."""
    certificate, since = enrolled(unmasker, Device()), clock.now
    clock.now += 100 * DAY
    assert verdicts(unmasker, certificate, since=since) == [True]
    assert verdicts(unmasker, certificate, since=since + 90 * DAY) == [False]


def test_a_clock_that_is_set_back_by_minutes_refuses_nobody(unmasker, clock):
    certificate = enrolled(unmasker, Device())
    clock.now -= 1800
    assert verdicts(unmasker, certificate) == [True]
    clock.now -= 3600
    assert verdicts(unmasker, certificate) == [False]


def test_codes_are_not_in_the_database(unmasker, folder):
    code = invite(unmasker)
    enrolled(unmasker, Device(), EVIDENCE_CLASS_INVITATION, code)
    for path in folder.path.iterdir():
        data = path.read_bytes()
        assert code not in data
        assert code.replace(b"-", b"") not in data


def test_evidence_of_a_class_that_is_not_taken_enrols_nobody(unmasker):
    for evidence_class in (EVIDENCE_CLASS_TOKEN, 0, 4, 300, -1):
        with pytest.raises(EvidenceError, match="class"):
            enrolled(unmasker, Device(), evidence_class, b"token")
    with pytest.raises(EvidenceError, match="empty"):
        enrolled(unmasker, Device(), EVIDENCE_CLASS_OPEN, b"something")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data())
def test_no_changed_request_is_accepted(unmasker, data):
    request = Device().request(unmasker.books.keys.public.identity)
    name = data.draw(st.sampled_from(["public_key", "evidence", "signature"]))
    before = getattr(request, name)
    setattr(request, name, data.draw(st.binary(max_size=80).filter(lambda value: value != before)))
    with pytest.raises(InvalidRequestError):
        unmasker.enrol(request)


def test_a_request_for_another_unmasker_is_refused(unmasker):
    with pytest.raises(InvalidRequestError, match="another unmasker"):
        unmasker.enrol(Device().request(bytes(32)))
    with pytest.raises(InvalidRequestError, match="8192"):
        unmasker.enrol(Device().request(unmasker.books.keys.public.identity, evidence=b"x" * 8193))
