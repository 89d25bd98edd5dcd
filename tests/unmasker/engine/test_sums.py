"""Sums: exact, one a round for ever, the same bytes when asked again, and refused member by member."""

import hashlib
from contextlib import closing

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.wire.identity.certificate import Certificate
from fedau2.wire.identity.signing import verifies
from fedau2.wire.secure import closing as closed
from fedau2.wire.secure import masks, opening, packing
from fedau2.wire.secure.layout import CANARY
from tests.secure_tasks import policy
from tests.unmasker.conftest import RULES
from tests.unmasker.device import Device
from tests.unmasker.engine.test_enrolment import enrolled, revoke
from tests.unmasker.engine.test_rounds import audited, identity
from tests.unmasker.sums import MEMBERS, Crowd, Task, ask
from unmasker import Books, Unmasker
from unmasker.engine import reading
from unmasker.errors import DifferentSumError, InvalidRequestError, RoundClosedError, SmallSumError

DAY = 86400


class Scene:
    """An unmasker, a task, devices, and their contributions to a round."""

    def __init__(self, unmasker, number=3, count=MEMBERS, **options):
        self.unmasker, self.number = unmasker, number
        self.task, self.crowd = Task(identity(unmasker), **options), Crowd(unmasker, count)
        self.open(number)

    def open(self, number):
        """Opens a round, to which all devices contribute."""
        self.number = number
        self.key = self.unmasker.open_round(self.task.opening(number)).key
        self.sent = self.task.contributions(self.key, self.crowd)

    def ask(self, sent=None, **changed):
        """Asks for the sum of contributions."""
        return ask(self.unmasker, self.task.asked(self.number, self.sent if sent is None else sent, **changed))

    def refused(self, sent=None):
        """Asks for a sum that is refused, and returns the contributions that are."""
        sent = self.sent if sent is None else sent
        response, masks = self.ask(sent)
        assert masks == b""
        leases = list(response.refused.leases)
        assert leases == sorted(leases)
        assert leases, "a sum was opened that must not be"
        return [contribution for contribution in sent if contribution.lease in leases]


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
    assert (logged.members, logged.withheld) == (MEMBERS, 0)
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
    (logged,) = [entry.sum for entry in audited(unmasker).entries if entry.HasField("sum")]
    assert logged.withheld == 2


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


def test_who_is_revoked_expired_twice_or_renewed_is_refused_and_the_rest_opens(unmasker, clock):
    scene = Scene(unmasker, count=MEMBERS + 8)
    devices, certificates = scene.crowd.devices, scene.crowd.certificates
    revoke(unmasker, certificates[0])
    again = scene.task.contribute(scene.key, devices[1], certificates[1], scene.sent[0].vector)
    clock.now += 46 * DAY
    enrolled(unmasker, devices[2])
    bad = scene.refused([*scene.sent, again])
    assert {one.lease for one in bad} == {one.lease for one in (scene.sent[0], scene.sent[1], again, scene.sent[2])}
    good = [one for one in scene.sent if one not in bad]
    response, masks_ = scene.ask(good)
    assert np.array_equal(scene.task.decoded(good, response.opened, masks_), scene.task.expected(good))


def test_who_has_expired_is_refused(scene, clock):
    clock.now += 90 * DAY
    assert len(scene.refused()) == MEMBERS
    assert reading.status(scene.unmasker.books).sums == 0


DAMAGES = {
    "sealed": lambda member: setattr(member, "sealed", member.sealed[:-1] + bytes([member.sealed[-1] ^ 1])),
    "short": lambda member: setattr(member, "sealed", member.sealed[:40]),
    "digest": lambda member: setattr(member, "digest", bytes(32)),
    "canary": lambda member: setattr(member, "canary", bytes(len(member.canary))),
    "canary's length": lambda member: setattr(member, "canary", member.canary + b"x"),
    "lease": lambda member: setattr(member, "lease", member.lease[:-1] + bytes([member.lease[-1] ^ 1])),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_refused_alone_and_nothing_is_written(scene, damage):
    request, head = scene.task.asked(3, scene.sent), audited(scene.unmasker).head
    DAMAGES[damage](request.members[7])
    response, _ = ask(scene.unmasker, request)
    assert list(response.refused.leases) == [request.members[7].lease]
    assert audited(scene.unmasker).head == head
    assert scene.ask()[0].opened.set, "and its contribution was none of the sum"


def test_openings_for_another_round_task_checkpoint_or_by_another_key_are_refused(unmasker):
    scene = Scene(unmasker, count=MEMBERS + 6)
    device, certificate = scene.crowd.devices[0], scene.crowd.certificates[0]
    vector, task = scene.sent[0].vector, scene.task

    def sealed(key=scene.key, signer=device, shown=certificate, by=task, **changed):
        other = type(key).FromString(key.SerializeToString())
        for name, value in changed.items():
            setattr(other, name, value)
        return by.contribute(other, signer, shown, vector)

    stranger = Device()
    forged = Certificate.read(certificate)[0].body() + bytes(64)
    wrong = [
        sealed(round=4),
        sealed(task_id=bytes(16)),
        sealed(checkpoint=bytes(32)),
        sealed(manifest=bytes(32)),
        sealed(signer=stranger),
        sealed(shown=forged),
        sealed(shown=b""),
        sealed(shown=bytes(130)),
        sealed(shown=bytes(300)),
        sealed(public_key=opening_key()),
    ]
    bad = scene.refused([*scene.sent[1:], *wrong])
    assert {one.lease for one in bad} == {one.lease for one in wrong}


def opening_key():
    return X25519PrivateKey.generate().public_key().public_bytes_raw()


def test_too_few_and_too_many_stay_closed(unmasker):
    scene = Scene(unmasker)
    with pytest.raises(SmallSumError, match="64"):
        scene.ask(scene.sent[1:])
    narrow = Scene(unmasker, count=65, name=b"narrow", sums=policy(modulus_bits=20, value_bits=12, clip=2**10))
    with pytest.raises(InvalidRequestError, match="65 members"):
        narrow.ask()
    assert narrow.ask(narrow.sent[1:])[0].opened.set


def test_a_manifest_a_policy_or_a_head_that_is_another_is_refused(scene):
    asked = scene.task.asked(3, scene.sent)
    total = scene.task.total(scene.sent)[scene.task.layout.head]
    more = total.copy()
    more[scene.task.layout.touched.start] += 1
    wrong = {
        "manifest": [b"", asked.begin.manifest[:-1], Task(bytes(32)).manifest],
        "head": [
            b"",
            asked.begin.head[:-1],
            asked.begin.head + b"x",
            packing.pack(total + np.uint32(1), scene.task.bits),
            packing.pack(more, scene.task.bits),
            packing.pack(scene.task.expected(scene.sent)[scene.task.layout.head], scene.task.bits),
        ],
    }
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(InvalidRequestError):
                scene.ask(**{name: value})
    assert reading.status(scene.unmasker.books).sums == 0
    assert scene.ask()[0].opened.set


def test_a_task_for_another_unmasker_or_without_sums_is_refused(unmasker):
    scene = Scene(unmasker)
    other = Task(bytes(32), b"other")
    key = unmasker.open_round(other.opening(1)).key
    with pytest.raises(InvalidRequestError, match="name this unmasker"):
        ask(unmasker, other.asked(1, other.contributions(key, scene.crowd)))
    strange = scene.task.opening(1)
    strange.task_id, strange.policy = bytes(16), SecureSums(version=2).SerializeToString()
    unmasker.open_round(strange)
    with pytest.raises(InvalidRequestError, match="policy"):
        scene.ask(task_id=bytes(16), round=1)


def test_a_device_takes_part_as_often_and_as_seldom_as_the_task_says(unmasker):
    scene = Scene(unmasker, number=1, sums=policy(max_participations=2), separation=3)
    scene.ask()
    for number in (2, 3):
        scene.open(number)
        assert len(scene.refused()) == MEMBERS
    scene.open(4)
    first, late = scene.sent, Crowd(unmasker, 1)
    (other,) = scene.task.contributions(scene.key, late)
    assert scene.ask([*first, other])[0].opened.set
    scene.open(7)
    (other,) = scene.task.contributions(scene.key, late)
    assert [one.lease for one in scene.refused([*scene.sent, other])] == [one.lease for one in scene.sent]
    elsewhere = Scene(unmasker, name=b"other", sums=policy(max_participations=2))
    assert elsewhere.ask()[0].opened.set


def test_asking_again_is_no_second_participation(unmasker):
    scene = Scene(unmasker, number=1, sums=policy(max_participations=2))
    for number in (1, 2):
        scene.open(number)
        for _ in range(3):
            assert scene.ask()[0].opened.set
    scene.open(3)
    assert len(scene.refused()) == MEMBERS


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
    rows = closed.rows(response.opened.withheld, 5)
    assert set(np.flatnonzero(~rows)) == touched
    words = packing.unpack(masks_, scene.task.layout.size, scene.task.bits)
    assert not words[closed.closed_places(scene.task.layout, scene.task.policy, rows)].any()
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
