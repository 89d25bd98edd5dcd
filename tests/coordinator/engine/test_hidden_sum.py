"""The sum of masked vectors: it shows nothing before it is opened, and then the sum of those that are left."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.hidden_sum import HiddenSum
from coordinator.engine.round_sum import Record
from coordinator.model.task import TaskSpec
from coordinator.store.round_log import Location
from fedau2.wire.secure import closing, masked, packing
from fedau2.wire.secure.layout import CANARY, Layout
from fedau2.wire.secure.quantise import vector
from tests.coordinator import conftest as tools
from tests.coordinator import hidden

CONTEXT = bytes(32)


def seed(number):
    return hashlib.sha256(b"%d" % number).digest()


def spec_of(made):
    return TaskSpec.of(made.manifest, made.closing)


def masked_vector(number, task, updates):
    words = vector(updates, task.secure_sums, Layout.of(task))
    packed = masked.mask(words, seed(number), CONTEXT, task.secure_sums.modulus_bits)
    return masked.Masked(packed, b"sealed %d" % number)


def record(number, content):
    data = content.joined()
    return Record(b"%016d" % number, hashlib.sha256(data).digest(), Location("log", number, len(data)))


@settings(max_examples=20, deadline=None)
@given(members=st.sets(st.integers(0, 30), min_size=1, max_size=6), data=st.data())
def test_opened_it_is_the_mean_of_the_members_that_were_not_refused(members, data):
    spec = spec_of(made := hidden.bundle(row_threshold=1))
    task, bits = made.manifest, 24
    left = data.draw(st.sets(st.sampled_from(sorted(members)), min_size=1))
    contents = {number: masked_vector(number, task, tools.make_updates(number)) for number in members}
    stored = {number: content.joined() for number, content in contents.items()}
    total = HiddenSum("movies", spec)
    for number in data.draw(st.permutations(sorted(members))):
        total.add(record(number, contents[number]), spec.decode(stored[number]))
    for number in members - left:
        total.refuse(b"%016d" % number, lambda location, sha256: stored[location.offset])
    frozen = total.frozen()
    assert [member.lease for member in frozen.members] == [b"%016d" % number for number in sorted(left)]
    for member, number in zip(frozen.members, sorted(left), strict=True):
        content = contents[number]
        assert (member.digest, member.sealed) == (content.digest, content.sealed)
        assert member.canary == content.packed[: packing.size(len(CANARY), bits)]
    layout = Layout.of(task)
    masks = masked.sum_of_masks([seed(number) for number in left], CONTEXT, layout.size)
    head = packing.unpack(frozen.head, layout.head.stop, bits) - masks[layout.head] & np.uint32(2**bits - 1)
    assert head[:4].tolist() == [len(left), 0, 0, 0]
    exact = hidden.SecureSum(task)
    for number in left:
        exact.add(vector(tools.make_updates(number), task.secure_sums, layout))
    withheld = closing.withheld(exact.total(), layout, task.secure_sums.row_threshold)
    masks[closing.closed_places(layout, task.secure_sums, withheld)] = 0
    total.open(packing.pack(masks, bits), closing.bits(withheld))
    mean, expected = total.mean(), exact.mean()
    assert mean.keys() == expected.keys()
    assert all((mean[name] == expected[name]).all() for name in mean)
    clipped = total.statistics().clipped
    assert set(clipped) == set(layout.shapes)
    assert all(0 <= count <= len(left) for count in clipped.values())


@pytest.mark.parametrize("bits", [20, 24, 28, 32])
def test_without_the_masks_the_sum_is_uniform(bits):
    """Chi-square of each bit and of the highest bytes, at 2^-20, where all devices send the same."""
    made = hidden.bundle(modulus_bits=bits, value_bits=12, row_threshold=1)
    next(each for each in made.manifest.tensors if each.name == "tower").shape[:] = [200, 200]
    spec, task = spec_of(made), made.manifest
    same = {"tower": np.ones((200, 200), np.float32)}
    total = HiddenSum("movies", spec)
    for number in range(3):
        content = masked_vector(number, task, same)
        total.add(record(number, content), spec.decode(content.joined()))
    words = total._total.total()
    ones = (words[:, None] >> np.arange(bits) & 1).sum(axis=0)
    assert ((ones - words.size / 2) ** 2 / (words.size / 4)).max() < 35
    bins = np.bincount(words >> bits - 8 & 255, minlength=256)
    assert ((bins - words.size / 256) ** 2 / (words.size / 256)).sum() < 255 + 5.5 * 22.6


def test_a_new_round_begins_with_nothing():
    spec = spec_of(made := hidden.bundle(row_threshold=1))
    total, content = HiddenSum("movies", spec), masked_vector(1, made.manifest, tools.make_updates(1))
    total.add(record(1, content), spec.decode(content.joined()))
    total.begin(dict)
    assert total.frozen().members == ()
    assert not any(total.frozen().head)
    assert not total.statistics().clipped
