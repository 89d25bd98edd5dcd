"""Rounds: one key each, the same answer to the same question, and nothing once they are closed."""

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.wire.identity import audit, checks, log
from tests.unmasker.device import opening
from unmasker.engine import reading
from unmasker.errors import DifferentRoundError, InvalidRequestError, RoundClosedError
from unmasker.store import rounds
from unmasker.store.tables import task_round

DAY = 86400


def identity(unmasker):
    return unmasker.books.keys.public.identity


def audited(unmasker):
    """The whole log, checked as anybody would."""
    extract = log.read(reading.whole_log(unmasker.books), identity(unmasker))
    audit.check(extract, identity(unmasker))
    return extract


def private(unmasker, request):
    with unmasker.books.writing() as page:
        return rounds.open_key(page, request.task_id, request.round).private


def test_a_round_has_one_key_that_is_signed_kept_and_in_the_log(either):
    request = opening(3)
    opened = either.open_round(request)
    assert either.open_round(request) == opened
    assert checks.round_key_of(opened.key, opened.key, [identity(either)]) == opened.key.public_key
    secret = private(either, request)
    assert secret.public_key() == X25519PublicKey.from_public_bytes(opened.key.public_key)
    extract = audited(either)
    assert extract.entries[opened.entry].round.key == opened.key
    assert extract.holds(opened.key)
    assert opened.head == extract.head
    part = log.read(reading.whole_log(either.books, opened.entry), identity(either), opened.entry)
    assert part.holds(opened.key), "who reads from that entry on needs no more of the log"


def test_a_round_is_for_one_checkpoint_manifest_and_policy(either):
    either.open_round(opening(3))
    for name in ("manifest", "checkpoint"):
        other = opening(3)
        setattr(other, name, bytes(32))
        with pytest.raises(DifferentRoundError):
            either.open_round(other)
    other = opening(3)
    other.policy = SecureSums(version=2).SerializeToString()
    with pytest.raises(DifferentRoundError):
        either.open_round(other)
    either.open_round(opening(3, task=b"another"))


def test_a_closed_round_stays_closed(either):
    request = opening(3)
    either.open_round(request)
    for _ in range(2):
        either.close_round(request.task_id, 3)
        with pytest.raises(RoundClosedError):
            either.open_round(request)
        with pytest.raises(RoundClosedError):
            private(either, request)
    either.open_round(opening(4))
    for number in (0, 3):
        with pytest.raises(RoundClosedError):
            either.open_round(opening(number))
    either.close_round(request.task_id, 3)
    assert private(either, opening(4)), "an older round's end does not end the newer"
    either.close_round(b"n" * 16, 2**62)  # of a task that nobody knows
    audited(either)


def test_a_later_round_takes_the_key_of_the_one_before(unmasker):
    unmasker.open_round(opening(3))
    unmasker.open_round(opening(7))
    with pytest.raises(RoundClosedError):
        private(unmasker, opening(3))
    assert reading.status(unmasker.books).open_rounds == 1


def test_a_key_that_nobody_asks_to_delete_is_deleted_some_day(unmasker, clock):
    request = opening(3)
    unmasker.open_round(request)
    clock.now += 14 * DAY
    unmasker.keep_house()
    assert private(unmasker, request)
    clock.now += 1
    unmasker.keep_house()
    with pytest.raises(RoundClosedError):
        private(unmasker, request)
    with pytest.raises(RoundClosedError):
        unmasker.open_round(request)


@pytest.mark.parametrize("ended", ["closed", "followed by another"])
def test_keys_of_closed_rounds_are_in_no_file(unmasker, folder, ended):
    request = opening(3)
    opened = unmasker.open_round(request)
    secret = private(unmasker, request).private_bytes_raw()
    with unmasker.books.writing() as page:
        sealed = page.connection.execute(sa.select(task_round.c.secret)).scalar_one()
    files = lambda: b"".join(path.read_bytes() for path in folder.path.iterdir())  # noqa: E731
    assert opened.key.public_key in files()
    assert secret not in files()
    assert sealed in files()
    if ended == "closed":
        unmasker.close_round(request.task_id, 3)
    else:
        unmasker.open_round(opening(4))
    assert sealed not in files()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_id", b""),
        ("task_id", b"x" * 17),
        ("manifest", b"x" * 31),
        ("checkpoint", b""),
        ("policy", b""),
        ("policy", b"x" * (64 * 1024 + 1)),
        ("policy", b"no message"),
        ("round", 2**63),
        ("round", 2**64 - 1),
    ],
)
def test_requests_that_make_no_sense_are_refused_and_leave_nothing(unmasker, name, value):
    request, before = opening(3), audited(unmasker).head
    setattr(request, name, value)
    with pytest.raises(InvalidRequestError):
        unmasker.open_round(request)
    if name in ("task_id", "round"):
        with pytest.raises(InvalidRequestError):
            unmasker.close_round(request.task_id, request.round)
    assert audited(unmasker).head == before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("oooc"), st.integers(0, 4), st.sampled_from([b"a", b"b"]), st.booleans()), max_size=15
    )
)
def test_whatever_is_asked_no_round_has_two_keys(unmasker, steps):
    given_out = getattr(unmasker, "given_out", {})
    unmasker.given_out = given_out  # of all examples, which share the unmasker
    for step, number, task, other in steps:
        request = opening(number, task=task, checkpoint=b"other" if other else b"c")
        if step == "c":
            unmasker.close_round(request.task_id, number)
            continue
        try:
            key = unmasker.open_round(request).key
        except (RoundClosedError, DifferentRoundError):
            continue
        assert given_out.setdefault((task, number), key) == key
    audited(unmasker)
