"""Noise on sums: the same when asked again, another in each round, and none on what has to stay exact."""

from contextlib import closing

import numpy as np
import pytest

from fedau2.wire.secure import noise, packing
from fedau2.wire.secure.layout import CANARY
from tests.secure_tasks import noisy
from tests.unmasker.conftest import RULES
from tests.unmasker.scene import Scene
from tests.unmasker.sums import centred
from unmasker import Books, Unmasker
from unmasker.engine import summing
from unmasker.errors import DifferentSumError


@pytest.fixture
def scene(unmasker):
    return Scene(unmasker, sums=noisy())


def added(scene):
    """The noise on a round's answer, as only a test can know it, and the answer."""
    response, masks = scene.ask()
    decoded = scene.task.decoded(scene.sent, response.opened, masks)
    return decoded - scene.task.expected(scene.sent), (response, masks)


def test_the_noise_is_the_exact_one_of_the_round_s_secret(scene):
    seen, _ = added(scene)
    request = scene.task.asked(3, scene.sent)
    key = scene.unmasker.begin_sum(request)
    seeds = [one.seed for one in sorted(scene.sent, key=lambda one: one.lease)]
    secret = summing._noise_key(key, request.set(scene.task.context(scene.key)), seeds)
    drawn = noise.vector(scene.task.layout, scene.task.policy, secret)
    assert np.array_equal(seen, drawn)
    assert drawn[scene.task.layout.head.stop :].any()


def test_flags_are_not_opened_and_the_canary_is_exact(scene):
    response, masks = scene.ask()
    assert response.opened.withheld == b""
    words = packing.unpack(masks, scene.task.layout.size, scene.task.bits)
    assert not words[len(CANARY) : scene.task.layout.head.stop].any()
    total = centred(scene.task.total(scene.sent) - words, scene.task.bits)
    assert list(total[: len(CANARY)]) == [len(scene.sent), 0, 0, 0]


def test_no_answer_depends_on_a_count(scene):
    """Otherwise a coordinator could try heads, and learn without noise how many devices touched a row."""
    head = scene.task.total(scene.sent)[scene.task.layout.head]
    head[len(CANARY) :] += np.arange(1, head.size - len(CANARY) + 1, dtype=np.uint32) * 1000
    changed = packing.pack(head, scene.task.bits)
    assert scene.ask(head=changed)[0].opened.withheld == b""
    with pytest.raises(DifferentSumError):
        scene.ask()


def test_asked_again_it_is_the_same_also_after_a_restart(scene, folder, clock):
    seen, answer = added(scene)
    assert added(scene)[1] == answer
    scene.unmasker.close()
    with closing(Unmasker(Books(folder, None, clock), RULES)) as scene.unmasker:
        again, same = added(scene)
    assert same == answer
    assert np.array_equal(again, seen)


def test_each_round_has_its_own_also_in_another_epoch(scene):
    first, _ = added(scene)
    scene.open(4)
    second, _ = added(scene)
    scene.open(5)
    with scene.unmasker.books.writing() as page:
        scene.unmasker.books.begin_epoch(page)
    scene = Scene(scene.unmasker, number=0, name=b"after", sums=noisy())
    third, _ = added(scene)
    places = slice(scene.task.layout.head.stop, None)
    for one, other in ((first, second), (second, third), (first, third)):
        assert (one[places] != other[places]).any()


def test_other_seeds_or_another_set_have_other_noise(scene):
    """An unmasker that was restored as a whole must not let noise cancel out of two answers."""
    key = scene.unmasker.begin_sum(scene.task.asked(3, scene.sent))
    keys = {summing._noise_key(key, bytes([number]) * 32, [seed]) for number in range(3) for seed in (b"a", b"b")}
    assert len(keys) == 6
