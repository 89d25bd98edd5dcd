"""A contribution to a secure sum: what leaves is masked, opens for the unmasker alone, and leaves no seed behind."""

import logging
import os
import shutil
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from client_sdk.errors import TransportError, UnknownWishError, UnsupportedTaskError, UntrustedUnmaskerError
from client_sdk.events import Rejected, TaskRefused
from client_sdk.protocol import masking
from client_sdk.protocol.drivers import drive
from client_sdk.protocol.wishes import Result
from client_sdk.store.personal import PersonalData
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.v1.device_pb2 import FailureReason
from fedau2.wire.identity.certificate import Certificate
from fedau2.wire.identity.signing import verifies
from fedau2.wire.secure import masked, opening, quantise, rounding
from fedau2.wire.secure.layout import Layout
from fedau2.wire.status import Status, StatusError
from tests.client_sdk.secure import NOW, Signing, Watched, begin, secure

UNMASKER, OTHER = Signing(), Signing()


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    monkeypatch.setattr("time.time", lambda: float(NOW))


@pytest.fixture
def member(busy):
    """A store with something to train on, and a certificate."""
    busy.certificate = UNMASKER.certify(busy)
    return busy


@pytest.fixture
def serving(remote):
    """A coordinator that serves a task with secure sums."""

    def start(bundle, **changed):
        remote.bundle, remote.assignment = bundle, UNMASKER.assignment(bundle, **changed)
        return remote

    return start


def uploads(remote):
    return [request for name, request in remote.calls if name == "upload"]


def failures(remote):
    return [request.reason for name, request in remote.calls if name == "report_failure"]


def test_what_is_uploaded_is_the_vector_under_a_mask_that_the_unmasker_can_open(member, bundle, serving):
    task = secure(bundle, UNMASKER)
    remote, engine = serving(task), Watched()
    assert drive(begin(member, UNMASKER, engine=engine), remote).result is Result.UPLOADED
    ((header, data),) = uploads(remote)
    layout, sums = Layout.of(task.manifest), task.manifest.secure_sums
    assert len(data) <= masked.largest(layout, sums.modulus_bits)
    vector, made, bound = UNMASKER.opened(task, header.assignment_id, data)
    assert np.array_equal(vector, quantise.vector(engine.result.contribution, sums, layout))
    assert made.certificate == member.certificate
    device = Certificate.read(made.certificate)[0].public_key
    assert verifies(device, made.signature, opening.message(bound, made.seed))
    assert remote.names()[0] == "check_in"
    assert remote.calls[0][1].enrolled


@pytest.mark.parametrize("clip", [1, 7, 8191])
def test_no_tensor_is_longer_than_its_clip_whatever_the_bound_of_the_coordinator(member, bundle, serving, clip):
    task = secure(bundle, UNMASKER, clip=clip)
    remote = serving(task)
    drive(begin(member, UNMASKER), remote)
    ((header, data),) = uploads(remote)
    vector, _, _ = UNMASKER.opened(task, header.assignment_id, data)
    for place in Layout.of(task.manifest).tensors.values():
        assert rounding.square_sum(vector[place]) <= clip**2


def test_no_seed_is_left_anywhere_and_the_same_bytes_are_sent_after_a_restart(
    member, bundle, serving, monkeypatch, caplog
):
    caplog.set_level(logging.DEBUG)
    seeds, draw, events = [], os.urandom, []

    def drawn(size):
        seeds.append(draw(size))
        return seeds[-1]

    monkeypatch.setattr(masking.os, "urandom", drawn)
    task = secure(bundle, UNMASKER)
    remote = serving(task)
    remote.refusals["upload"] = StatusError(Status.UNAVAILABLE, "gone")
    with pytest.raises(StatusError):
        drive(begin(member, UNMASKER, emit=events.append), remote)
    ((header, first),) = uploads(remote)
    _, made, _ = UNMASKER.opened(task, header.assignment_id, first)
    assert made.seed in seeds
    folder = member.folder
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert any(first[:100] in data for data in files), "the contribution itself is staged"
    assert not any(seed in data for seed in seeds for data in files)
    heard = f"{events!r} {caplog.text} {member.staged()!r}"
    assert not any(seed.hex() in heard or repr(seed) in heard for seed in seeds)
    member.close()
    remote.refusals.clear()
    with closing(SqliteStore(folder)) as again:
        assert drive(begin(again, UNMASKER), remote).result is Result.UPLOADED
        assert again.identities.participations(task_id(remote)) == 1
    assert [data for _, data in uploads(remote)] == [first, first]
    assert len(seeds) == seeds.index(made.seed) + 1, "no mask is drawn for bytes that are sent again"


def task_id(remote):
    return remote.assignment.task_id


def test_a_mask_shows_nothing_of_its_seed():
    mask = masking.Mask(None, b"context", b"lease", b"key", b"unmasker", None, b"certificate")
    assert "certificate" not in repr(mask)


@pytest.mark.parametrize("changed", ["task_id", "round", "manifest", "checkpoint", "policy", "public_key"])
def test_a_key_for_something_else_is_never_contributed_to(member, bundle, serving, changed):
    wrong = {"task_id": bytes(16), "round": 1}.get(changed, bytes(32))
    remote, events = serving(secure(bundle, UNMASKER), **{changed: wrong}), []
    with pytest.raises(UntrustedUnmaskerError):
        drive(begin(member, UNMASKER, emit=events.append), remote)
    refused(member, remote, events)


def refused(store, remote, events):
    assert failures(remote) == [FailureReason.FAILURE_REASON_UNSUPPORTED]
    assert [event.code for event in events if isinstance(event, TaskRefused)] == ["untrusted_unmasker"]
    assert (uploads(remote), store.staged()) == ([], None)
    assert store.identities.participations(task_id(remote)) == 0


@pytest.mark.parametrize("data", [b"", b"\xff" * 40])
def test_nor_is_one_that_is_missing_or_damaged(member, bundle, serving, data):
    remote, events = serving(secure(bundle, UNMASKER)), []
    remote.assignment.round_key, remote.assignment.bound = data, 1e6
    with pytest.raises(UntrustedUnmaskerError, match="round's key"):
        drive(begin(member, UNMASKER, emit=events.append), remote)
    refused(member, remote, events)


@pytest.mark.parametrize("policy_names", [(OTHER,), ()])
def test_nor_one_by_an_unmasker_that_policy_and_app_do_not_both_name(member, bundle, remote, policy_names):
    """The key is the other unmasker's, which the app does not name."""
    task, events = secure(bundle, *policy_names), []
    remote.bundle, remote.assignment = task, OTHER.assignment(task)
    with pytest.raises(UntrustedUnmaskerError):
        drive(begin(member, UNMASKER, emit=events.append), remote)
    refused(member, remote, events)


def test_a_policy_of_two_unmaskers_is_refused_though_the_app_names_both(member, bundle, remote):
    """Each would open another set of the round."""
    task = secure(bundle, OTHER, UNMASKER)
    remote.bundle, remote.assignment = task, UNMASKER.assignment(task)
    with pytest.raises(UnsupportedTaskError, match="each open a set of the same round"):
        drive(begin(member, OTHER, UNMASKER), remote)
    assert not uploads(remote)


def test_a_signature_of_nobody_is_refused(member, bundle, serving):
    remote, events = serving(secure(bundle, UNMASKER)), []
    remote.assignment.round_key = OTHER.assignment(remote.bundle).round_key
    with pytest.raises(UntrustedUnmaskerError, match="signed by no unmasker"):
        drive(begin(member, UNMASKER, emit=events.append), remote)
    refused(member, remote, events)


def test_a_device_without_a_certificate_gives_the_place_back(busy, bundle, serving):
    remote, events = serving(secure(bundle, UNMASKER)), []
    outcome = drive(begin(busy, UNMASKER, emit=events.append), remote)
    assert (outcome.result, outcome.reason) == (Result.REJECTED, "FAILURE_REASON_NOT_ENROLLED")
    assert failures(remote) == [FailureReason.FAILURE_REASON_NOT_ENROLLED]
    rejected = [event for event in events if isinstance(event, Rejected)]
    assert [event.code for event in rejected] == ["not_enrolled"]
    assert "enrol()" in rejected[0].advice
    assert uploads(remote) == []


def next_round(remote, bundle, number):
    task = bundle.with_checkpoint(number)
    task = task.__class__(task.manifest, task.blobs, task.checkpoint, number)
    remote.bundle, remote.assignment = task, UNMASKER.assignment(task, number)


def test_a_device_contributes_as_often_as_the_policy_allows_and_no_more(member, bundle, serving):
    task = secure(bundle, UNMASKER, max_participations=2)
    remote = serving(task)
    results = []
    for number in range(4):
        next_round(remote, task, number)
        outcome = drive(begin(member, UNMASKER), remote)
        results.append((outcome.result, outcome.reason))
    assert results == [(Result.UPLOADED, "")] * 2 + [(Result.REJECTED, "PARTICIPATIONS_SPENT")] * 2
    assert failures(remote) == [FailureReason.FAILURE_REASON_NOT_ENROLLED] * 2
    assert len(uploads(remote)) == 2


def test_a_contribution_that_was_refused_after_it_was_sent_uses_up_a_participation(member, bundle, serving):
    """The coordinator has its bytes, and may lie about what it does with them."""
    task = secure(bundle, UNMASKER, max_participations=2)
    remote = serving(task)
    refuse(remote)
    results = []
    for number in range(3):
        next_round(remote, task, number)
        outcome = drive(begin(member, UNMASKER), remote)
        results.append(outcome.reason if outcome.result is Result.REJECTED else outcome.result)
    assert results == [Result.REFUSED, Result.REFUSED, "PARTICIPATIONS_SPENT"]
    assert member.identities.participations(task_id(remote)) == 2


def refuse(remote):
    remote.refusals["upload"] = StatusError(Status.ABORTED, "closed")


def nothing(store):
    return store


def restarted(store):
    store.close()
    return SqliteStore(store.folder)


def copied(store):
    shutil.copytree(store.folder, store.folder.with_name("copy"))
    return SqliteStore(store.folder.with_name("copy"))


@pytest.mark.parametrize("happens", [nothing, restarted, copied])
@pytest.mark.parametrize("refused", [True, False])
def test_no_round_gets_two_contributions_whatever_key_it_has(member, bundle, serving, happens, refused):
    """A round with two sums over nearly the same devices would show the difference."""
    task = secure(bundle, UNMASKER)
    remote = serving(task)
    if refused:
        refuse(remote)
    drive(begin(member, UNMASKER), remote)
    remote.refusals.clear()
    with closing(happens(member)) as store:
        for unmasker in (UNMASKER, replace(UNMASKER, round=Signing().round)):
            unmasker.certify(store)
            remote.assignment = unmasker.assignment(task)
            outcome = drive(begin(store, UNMASKER), remote)
            assert outcome.reason == "FAILURE_REASON_TOO_SOON"
        assert store.identities.participations(task_id(remote)) == 1
        next_round(remote, task, 1)
        assert drive(begin(store, UNMASKER), remote).result is Result.UPLOADED
    assert len(uploads(remote)) == 2


def test_a_copy_of_a_folder_sends_what_waits_as_the_same_bytes(member, bundle, serving):
    remote = serving(secure(bundle, UNMASKER))
    remote.refusals["upload"] = TransportError("gone")
    with pytest.raises(TransportError):
        drive(begin(member, UNMASKER), remote)
    remote.refusals.clear()
    with closing(copied(member)) as copy:
        for store in (member, copy):
            assert drive(begin(store, UNMASKER), remote).result is Result.UPLOADED
    assert len(uploads(remote)) == 3
    assert len({data for _, data in uploads(remote)}) == 1


@pytest.mark.parametrize("spelled", [str.upper, lambda text: f"{text[:2]} {text[2:]}"])
def test_a_task_has_one_spelling_and_so_one_count(member, bundle, serving, spelled):
    remote, events = serving(secure(bundle, UNMASKER)), []
    remote.assignment.task_id = spelled(remote.assignment.task_id)
    with pytest.raises(UntrustedUnmaskerError, match="task_id"):
        drive(begin(member, UNMASKER, emit=events.append), remote)
    refused(member, remote, events)


def test_a_contribution_of_which_nothing_was_sent_does_not_count(member, bundle, serving):
    remote = serving(secure(bundle, UNMASKER, max_participations=1))
    remote.refusals["upload"] = UnknownWishError("an older driver")
    with pytest.raises(UnknownWishError):
        drive(begin(member, UNMASKER), remote)
    assert member.identities.participations(task_id(remote)) == 0
    remote.refusals.clear()
    assert drive(begin(member, UNMASKER), remote).result is Result.UPLOADED


def test_deleted_data_take_certificates_and_counts_along(member, bundle, serving):
    remote = serving(secure(bundle, UNMASKER))
    drive(begin(member, UNMASKER), remote)
    key = member.identities.key(UNMASKER.identity)
    PersonalData(member).delete()
    assert member.identities.participations(task_id(remote)) == 0
    assert member.identities.masked() == {0.0: 1}, "what a sum tells cannot be taken back"
    assert member.identities.certificate(UNMASKER.identity) is None
    assert member.identities.count() == 0
    for path in member.folder.glob("state.db*"):
        assert key not in path.read_bytes()


def test_a_contribution_that_is_withdrawn_still_counts(member, bundle, serving):
    """Its upload is not answered, so it may be in a sum."""
    remote = serving(secure(bundle, UNMASKER))
    remote.refusals["upload"] = TransportError("gone")
    with pytest.raises(TransportError):
        drive(begin(member, UNMASKER), remote)
    PersonalData(member).forget_item("film-1", None)
    assert member.staged() is None
    assert member.identities.participations(task_id(remote)) == 1
