"""Sums: exact, one a round for ever, and the same bytes when asked again."""

import hashlib
from contextlib import closing, suppress
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedau2.wire.identity.signing import verifies
from fedau2.wire.secure import closing as closed
from fedau2.wire.secure import masks, opening, packing
from fedau2.wire.secure.layout import CANARY
from tests.secure_tasks import policy
from tests.unmasker.conftest import RULES
from tests.unmasker.engine.test_enrolment import revoke
from tests.unmasker.engine.test_rounds import audited, identity
from tests.unmasker.scene import Scene
from tests.unmasker.sums import MEMBERS, ask, nothing
from unmasker import Books, Unmasker
from unmasker.engine import reading, summing
from unmasker.errors import BooksError, DifferentSumError, InvalidRequestError, RoundClosedError

DAY = 86400


@pytest.fixture
def scene(unmasker):
    return Scene(unmasker)


def test_the_sum_is_exact_signed_and_in_the_log(either):
    scene = Scene(either)
    response, masks = scene.ask()
    opened, task = response.opened, scene.task
    assert np.array_equal(task.decoded(scene.sent, opened, masks), task.expected(scene.sent))
    context = task.context(scene.key)
    assert opened.sha256 == hashlib.sha256(masks).digest()
    message = opening.answer(context, opened.set, opened.withheld, opened.sha256)
    assert verifies(identity(either), opened.signature, message)
    (logged,) = [entry.sum for entry in audited(either).entries if entry.HasField("sum")]
    assert (logged.task_id, logged.round, logged.set) == (task.id, 3, opened.set)
    assert logged.members == MEMBERS
    assert reading.status(either.books).sums == 1


def test_counts_of_rows_stay_closed_and_rows_that_few_touched_do(unmasker):
    scene = Scene(unmasker)
    rng = np.random.default_rng(0)
    pairs = list(zip(scene.crowd.devices, scene.crowd.certificates, strict=True))
    rows = [range(3) if number < 9 else range(2) if number < 10 else [1, 4] for number in range(MEMBERS)]
    sent = [
        scene.task.contribute(scene.key, *pair, scene.task.vector(rng, touched))
        for pair, touched in zip(pairs, rows, strict=True)
    ]
    response, masks = scene.ask(sent)
    assert response.opened.withheld == bytes([0b01100]), "row 2 has nine devices and row 3 none; row 0 has ten"
    expected = scene.task.expected(sent, response.opened.withheld)
    assert np.array_equal(scene.task.decoded(sent, response.opened, masks), expected)
    words = packing.unpack(masks, scene.task.layout.size, scene.task.bits)
    assert not words[scene.task.layout.touched].any()


def test_a_tensor_that_few_devices_carry_stays_closed_with_their_number(unmasker):
    """Only devices that know an attribute carry the adversary's tensors, and one may be alone with it."""
    scene = Scene(unmasker)
    rng = np.random.default_rng(0)
    layout, pairs = scene.task.layout, zip(scene.crowd.devices, scene.crowd.certificates, strict=True)
    sent = []
    for number, pair in enumerate(pairs):
        vector = scene.task.vector(rng, range(layout.items))
        for place, (name, few) in enumerate(zip(layout.tensors, (9, 10), strict=False)):
            if number >= few:
                vector[layout.carried][place] = 0
                vector[layout.tensors[name]] = 0
        sent.append(scene.task.contribute(scene.key, *pair, vector))
    response, masks_ = scene.ask(sent)
    withheld = closed.read(response.opened.withheld, layout)
    assert np.flatnonzero(withheld).tolist() == [layout.items], "nine carry the first tensor, ten the second"
    total = scene.task.decoded(sent, response.opened, masks_)
    assert not total[layout.tensors[next(iter(layout.tensors))]].any()
    assert total[layout.carried].tolist()[:2] == [0, 10]
    words = packing.unpack(masks_, layout.size, scene.task.bits)
    assert not words[layout.tensors[next(iter(layout.tensors))]].any()


def test_whoever_tries_heads_is_told_nothing_by_the_second(scene):
    """Otherwise counts could be found by trying, and two sets that differ by one device would show what it touched."""
    head = scene.task.total(scene.sent)[scene.task.layout.head]
    head[-1] += MEMBERS
    with pytest.raises(InvalidRequestError, match="no second sum"):
        scene.ask(head=packing.pack(head, scene.task.bits))
    head[-1] -= 1
    for sent, changed in ((scene.sent, {"head": packing.pack(head, scene.task.bits)}), (scene.sent[1:], {})):
        with pytest.raises(DifferentSumError):
            scene.ask(sent, **changed)
    (logged,) = [entry.sum for entry in audited(scene.unmasker).entries if entry.HasField("sum")]
    assert logged.round == scene.number, "the attempt is in the public log"
    assert reading.status(scene.unmasker.books).sums == 0


def test_no_head_is_read_while_a_member_is_refused(scene, monkeypatch):
    """Otherwise the time that a refusal takes would tell whether a count fits."""
    revoke(scene.unmasker, scene.crowd.certificates[0])
    monkeypatch.setattr(summing, "add_up", None)
    assert len(scene.refused()) == 1
    assert not any(entry.HasField("sum") for entry in audited(scene.unmasker).entries)


def test_asked_again_it_answers_the_same_bytes_in_any_order_and_after_a_restart(scene, folder, clock):
    clock.now += 89 * DAY
    scene.open(4)
    first = scene.ask()
    head = audited(scene.unmasker).head
    assert scene.ask(scene.sent[::-1]) == first
    revoke(scene.unmasker, scene.crowd.certificates[0])
    clock.now += 2 * DAY
    assert scene.ask() == first, "what has been answered stays answered"
    assert audited(scene.unmasker).head == head, "nothing is written twice"
    scene.unmasker.close()
    with closing(Unmasker(Books(folder, None, clock), RULES)) as scene.unmasker:
        assert scene.ask() == first


def test_a_second_set_is_never_opened(scene, folder, clock):
    scene.ask()
    head = audited(scene.unmasker).head

    def check():
        with pytest.raises(DifferentSumError):
            scene.ask(scene.sent[1:])
        with pytest.raises(DifferentSumError):
            scene.ask(head=scene.task.asked(3, scene.sent[1:]).begin.head)

    check()
    scene.unmasker.close()
    with closing(Unmasker(Books(folder, None, clock), RULES)) as scene.unmasker:
        check()
        scene.unmasker.close_round(scene.task.id, 3)
        check()
        with pytest.raises(RoundClosedError):
            scene.ask()
        assert sum(entry.HasField("sum") for entry in audited(scene.unmasker).entries) == 1
    assert head.size


def test_a_set_that_was_opened_is_not_opened_with_other_masks(scene):
    """Otherwise a coordinator could swap a device's opening for its own, and read the device from the difference."""
    first = scene.ask()
    mine = scene.sent[0]
    device, certificate = scene.crowd.devices[0], scene.crowd.certificates[0]
    context = scene.task.context(scene.key)
    seed = bytes(32)
    bound = opening.Bound(context, mine.lease, mine.sent.digest)
    sealed = opening.seal(bound, seed, certificate, device.key, scene.key.public_key)
    request = scene.task.asked(3, scene.sent)
    swapped = next(member for member in request.members if member.lease == mine.lease)
    swapped.sealed = sealed
    words = masks.words(seed, context, scene.task.layout.head.stop)
    swapped.canary = packing.pack(words[:4] + np.array(CANARY, np.uint32), scene.task.bits)
    with pytest.raises((DifferentSumError, InvalidRequestError)):
        ask(scene.unmasker, request)
    assert scene.ask() == first


def test_no_round_has_a_second_sum_in_another_epoch(scene):
    scene.ask()
    with scene.unmasker.books.writing() as page:
        scene.unmasker.books.begin_epoch(page)
    with pytest.raises(RoundClosedError, match="epoch"):
        scene.unmasker.open_round(scene.task.opening(3))
    with pytest.raises(DifferentSumError):
        scene.ask(scene.sent[1:])
    with pytest.raises(RoundClosedError):
        scene.ask()
    scene.open(4)
    assert scene.ask()[0].opened.set
    assert [entry.sum.round for entry in audited(scene.unmasker).entries if entry.HasField("sum")] == [3, 4]


def test_a_round_that_was_not_opened_has_another_key_in_another_epoch(scene):
    with scene.unmasker.books.writing() as page:
        scene.unmasker.books.begin_epoch(page)
    with pytest.raises(RoundClosedError):
        scene.ask()
    scene.unmasker.open_round(scene.task.opening(3))
    assert len(scene.refused()) == MEMBERS, "nothing that was sealed to the key of before opens"


def test_a_round_that_is_closed_or_was_never_opened_has_no_sum(scene):
    before = scene.sent
    scene.open(4)
    for number, sent in ((3, before), (5, scene.sent)):
        with pytest.raises(RoundClosedError):
            scene.ask(sent, round=number)
    scene.unmasker.close_round(scene.task.id, 4)
    with pytest.raises(RoundClosedError):
        scene.ask()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=5, deadline=None)
@given(st.data())
def test_the_answer_does_not_depend_on_values_in_closed_rows(unmasker, data):
    """What the coordinator gets for rows that stay closed is 0, whatever the masks there are."""
    scene = getattr(unmasker, "scene", None) or Scene(unmasker, number=0)
    unmasker.scene = scene
    scene.open(scene.number + 1)
    touched = data.draw(st.sets(st.integers(0, 4)))
    sent = scene.task.contributions(scene.key, scene.crowd, rows=touched)
    response, masks_ = scene.ask(sent)
    withheld = closed.read(response.opened.withheld, scene.task.layout)
    assert set(np.flatnonzero(~withheld[:5])) == touched
    words = packing.unpack(masks_, scene.task.layout.size, scene.task.bits)
    assert not words[closed.closed_places(scene.task.layout, scene.task.policy, withheld)].any()
    assert np.array_equal(
        scene.task.decoded(sent, response.opened, masks_), scene.task.expected(sent, response.opened.withheld)
    )


def test_no_seed_is_in_any_file_or_log(scene, folder, caplog):
    caplog.set_level("DEBUG")
    request = scene.task.asked(3, scene.sent)
    request.members[3].canary = bytes(12)
    ask(scene.unmasker, request)
    scene.ask()
    data = b"".join(path.read_bytes() for path in folder.path.iterdir()) + caplog.text.encode()
    for one in scene.sent:
        assert one.seed not in data
        assert one.seed.hex().encode() not in data
        assert one.sent.sealed not in data
        assert one.sent.sealed[:32] not in data


def test_of_two_sets_that_are_asked_for_at_once_one_is_opened(either):
    scene = Scene(either, count=MEMBERS + 1)
    requests = [scene.task.asked(3, sent) for sent in (scene.sent[1:], scene.sent[:-1])]
    keys = [either.begin_sum(request) for request in requests]
    pairs = zip(requests, keys, strict=True)
    first, second = [summing.open_members(request, key, either.books.keys, nothing) for request, key in pairs]
    assert either.claim_sum(requests[0], first) is None
    with pytest.raises(DifferentSumError):
        either.claim_sum(requests[1], second)
    answer = summing.add_up(requests[0], keys[0], first, nothing)
    opened = either.settle_sum(requests[0], first, answer).opened
    assert either.settle_sum(requests[0], first, answer).opened == opened
    assert reading.status(either.books).sums == 1


@pytest.mark.parametrize("claimed", [False, True])
@pytest.mark.parametrize("ended", ["closed", "another epoch", "the next"])
def test_a_round_that_ends_while_its_masks_are_added_up_has_no_sum(scene, ended, claimed):
    request = scene.task.asked(3, scene.sent)
    key = scene.unmasker.begin_sum(request)
    members = summing.open_members(request, key, scene.unmasker.books.keys, nothing)
    if claimed:
        assert scene.unmasker.claim_sum(request, members) is None
        answer = summing.add_up(request, key, members, nothing)
    if ended == "closed":
        scene.unmasker.close_round(scene.task.id, 3)
    elif ended == "the next":
        scene.unmasker.open_round(scene.task.opening(4))
    else:
        with scene.unmasker.books.writing() as page:
            scene.unmasker.books.begin_epoch(page)
        with suppress(RoundClosedError):  # where it was claimed
            scene.unmasker.open_round(scene.task.opening(3))
    unmasker = scene.unmasker
    step = partial(unmasker.settle_sum, answer=answer) if claimed else unmasker.claim_sum
    with pytest.raises(RoundClosedError):
        step(request, members)
    assert reading.status(scene.unmasker.books).sums == 0


def test_what_fails_half_way_is_not_written_at_all(either, monkeypatch):
    scene = Scene(either, sums=policy(max_participations=1))
    head = audited(either).head

    def fails(*_):
        raise BooksError("the disk is full")

    for name in ("participations.count", "budgets.spend", "sums.claim"):
        with monkeypatch.context() as patched:
            patched.setattr(f"unmasker.engine.settling.{name}", fails)
            with pytest.raises(BooksError):
                scene.ask()
    assert audited(either).head == head
    assert scene.ask()[0].opened.set, "and nobody has taken part before"
    assert audited(either).head.size == head.size + 1
