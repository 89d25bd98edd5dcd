"""Members of a sum: who is not good is refused alone, without a reason, and nothing is written."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.wire.identity.certificate import Certificate
from fedau2.wire.secure import packing
from tests.secure_tasks import policy
from tests.unmasker.device import Device
from tests.unmasker.engine.test_enrolment import enrolled, revoke
from tests.unmasker.engine.test_rounds import audited
from tests.unmasker.scene import Scene
from tests.unmasker.sums import MEMBERS, Crowd, Task, ask
from unmasker.engine import reading
from unmasker.errors import DifferentSumError, InvalidRequestError, SmallSumError

DAY = 86400


@pytest.fixture
def scene(unmasker):
    return Scene(unmasker)


def test_who_is_revoked_or_twice_is_refused_and_the_rest_opens(unmasker, clock):
    scene = Scene(unmasker, count=MEMBERS + 8)
    devices, certificates = scene.crowd.devices, scene.crowd.certificates
    revoke(unmasker, certificates[0])
    again = scene.task.contribute(scene.key, devices[1], certificates[1], scene.sent[0].vector)
    clock.now += 46 * DAY
    enrolled(unmasker, devices[2])  # renews its certificate, and its contribution of before stays good
    bad = scene.refused([*scene.sent, again])
    assert {one.lease for one in bad} == {one.lease for one in (scene.sent[0], scene.sent[1], again)}
    good = [one for one in scene.sent if one not in bad]
    response, masks_ = scene.ask(good)
    assert np.array_equal(scene.task.decoded(good, response.opened, masks_), scene.task.expected(good))


def test_who_has_expired_before_the_round_is_refused(scene, clock):
    clock.now += 90 * DAY
    scene.open(4)
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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10, deadline=None)
@given(st.dictionaries(st.integers(0, MEMBERS - 1), st.sampled_from(sorted(DAMAGES)), min_size=1, max_size=8))
def test_exactly_what_is_damaged_is_refused(unmasker, damaged):
    scene = getattr(unmasker, "damaged", None) or Scene(unmasker)
    unmasker.damaged = scene
    request = scene.task.asked(3, scene.sent)
    for place, damage in damaged.items():
        DAMAGES[damage](request.members[place])
    response, pieces = ask(unmasker, request)
    assert list(response.refused.leases) == [request.members[place].lease for place in sorted(damaged)]
    assert pieces == b""


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
    wrong = {
        "manifest": [b"", asked.begin.manifest[:-1], Task(bytes(32)).manifest],
        "head": [b"", asked.begin.head[:-1], asked.begin.head + b"x"],
    }
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(InvalidRequestError):
                scene.ask(**{name: value})
    assert reading.status(scene.unmasker.books).sums == 0
    assert scene.ask()[0].opened.set


def test_a_head_that_the_members_do_not_have_opens_nothing_and_costs_the_round(scene):
    def wrong(total, plain):
        more = total.copy()
        more[scene.task.layout.touched.start] += 1
        yield from (total + np.uint32(1), more, plain)

    for place in range(3):
        scene.open(10 + place)
        total = scene.task.total(scene.sent)[scene.task.layout.head]
        plain = scene.task.expected(scene.sent)[scene.task.layout.head]
        with pytest.raises(InvalidRequestError, match="no second sum"):
            scene.ask(head=packing.pack(list(wrong(total, plain))[place], scene.task.bits))
        with pytest.raises(DifferentSumError):
            scene.ask()
    assert reading.status(scene.unmasker.books).sums == 0


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
