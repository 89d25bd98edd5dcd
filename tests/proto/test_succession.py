"""Tensors follow their items from one catalogue to another."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedau2.v1.tensors_pb2 import ItemSpan, TensorSpec
from fedau2.wire import blobs, item_axes, manifest, succession
from fedau2.wire.catalogues import Difference
from fedau2.wire.errors import ManifestError
from fedau2.wire.succession import Succession
from tests.proto.test_manifest import GOOD, NORMAL

catalogues = st.lists(st.integers(0, 30).map(lambda number: f"film {number}"), min_size=1, max_size=20, unique=True)
spans = st.lists(
    st.one_of(
        st.integers(1, 3).map(lambda n: ItemSpan(per_item=n)), st.integers(1, 3).map(lambda n: ItemSpan(others=n))
    ),
    max_size=3,
)


@st.composite
def specs(draw):
    """A tensor with an item axis somewhere, for a catalogue of one item."""
    shape, axis = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)), draw(st.integers(0, 2))
    spec = TensorSpec(name="t", shape=shape, dtype=1, kind=1, scope=1, initializer=NORMAL)
    spec.item_axis = 1 + axis % len(shape)
    spec.item_spans.extend(draw(spans))
    return item_axes.resized(spec, 1)


def values(spec, items, seed):
    return np.random.default_rng(seed).normal(size=item_axes.resized(spec, items).shape).astype(np.float32)


def of_item(spec, array, items, row):
    """The numbers of one item, found in another way than the product's: by masks of the whole axis."""
    owner = []
    for per_item, others in item_axes.spans(spec):
        owner += [item for item in range(items) for _ in range(per_item)] + [-1] * others
    return np.compress(np.array(owner) == row, array, axis=item_axes.of(spec))


@settings(deadline=None)
@given(specs(), catalogues, catalogues)
def test_known_items_keep_their_numbers_and_new_ones_have_fresh_ones(spec, old, new):
    before, fresh = values(spec, len(old), 1), values(spec, len(new), 2)
    carried = Succession.of(old, new).carried(item_axes.resized(spec, len(new)), before, fresh)
    for row, item in enumerate(new):
        source = (before, len(old), old.index(item)) if item in old else (fresh, len(new), row)
        assert np.array_equal(of_item(spec, carried, len(new), row), of_item(spec, *source))
    assert np.array_equal(of_item(spec, carried, len(new), -1), of_item(spec, before, len(old), -1))


@settings(deadline=None)
@given(specs(), catalogues, st.randoms())
def test_the_way_there_and_back_restores_everything_whatever_the_order(spec, old, random):
    shuffled = random.sample(old, len(old))
    new, before = ["another", *shuffled], values(spec, len(old), 1)
    there = Succession.of(old, new).carried(item_axes.resized(spec, len(new)), before, values(spec, len(new), 2))
    back = Succession.of(new, old).carried(item_axes.resized(spec, len(old)), there, values(spec, len(old), 3))
    assert back.tobytes() == before.tobytes()


@settings(deadline=None)
@given(specs(), catalogues, st.integers(1, 3))
def test_axes_before_those_of_the_tensor_are_left_alone(spec, old, clients):
    stacked = np.stack([values(spec, len(old), client) for client in range(clients)])
    reverse, spec = Succession.of(old, old[::-1]), item_axes.resized(spec, len(old))
    carried = reverse.carried(spec, stacked, np.zeros_like(stacked))
    for client in range(clients):
        assert np.array_equal(carried[client], reverse.carried(spec, stacked[client], np.zeros_like(stacked[client])))


@pytest.mark.parametrize("shape", [(4, 3), (5, 2), (5,), (5, 3, 1)])
def test_another_shape_is_not_carried_over(shape):
    spec = copy.deepcopy(GOOD.tensors[0])
    way = Succession.of(list("abcde"), list("abcde"))
    assert way.carried(spec, np.zeros(shape, np.float32), np.zeros((5, 3), np.float32)) is None
    user = np.ones(3, np.float32)
    assert way.carried(GOOD.tensors[1], np.zeros(4, np.float32), user) is None
    assert way.carried(GOOD.tensors[1], user, 0 * user) is not user


def test_the_ancestors_of_a_successor_are_the_bundle_and_its_own():
    data = GOOD.SerializeToString()
    task = copy.deepcopy(GOOD)
    task.ancestors.extend(succession.ancestors(data))
    assert list(task.ancestors) == [blobs.sha256(data)]
    later = task.SerializeToString()
    assert succession.ancestors(later) == [blobs.sha256(later), blobs.sha256(data)]
    task.ancestors.extend(bytes([n]) * 32 for n in range(255))
    assert len(succession.ancestors(task.SerializeToString())) == manifest.MAX_ANCESTORS


WRONG = {
    "32 bytes": {"ancestors": [bytes(31)]},
    "twice": {"ancestors": [bytes(32)] * 2},
    "more than 256": {"ancestors": [n.to_bytes(32, "big") for n in range(257)]},
    "names no ancestor": {"first_round": 1},
    "is above": {"first_round": 2**53 + 1, "ancestors": [bytes(32)]},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_a_manifest_says_of_its_ancestors_is_checked(message):
    task = copy.deepcopy(GOOD)
    for field, value in WRONG[message].items():
        if isinstance(value, list):
            getattr(task, field).extend(value)
        else:
            setattr(task, field, value)
    with pytest.raises(ManifestError, match=message):
        manifest.parse(task.SerializeToString())


AXES = {
    "item axis 3 of 2 axes": (1, [2, 5], 3, []),
    "items instead of 5": (1, [5, 4], 2, []),
    "items instead of 12": (1, [2, 13], 2, [ItemSpan(per_item=2), ItemSpan(others=2)]),
    "a span of 0 and 0 numbers": (1, [2, 5], 2, [ItemSpan()]),
    "a span of 1 and 1 numbers": (1, [6], 1, [ItemSpan(per_item=1, others=1)]),
    "without an item axis": (1, [5], 0, [ItemSpan(per_item=1)]),
    "lie along its first axis": (2, [5, 5], 2, []),
}


@pytest.mark.parametrize("message", AXES)
def test_an_item_axis_that_does_not_fit_the_shape_is_refused(message):
    kind, shape, axis, spans = AXES[message]
    task = copy.deepcopy(GOOD)
    task.tensors.add(name="more", shape=shape, dtype=1, kind=kind, scope=1, initializer=NORMAL, item_axis=axis)
    task.tensors[-1].item_spans.extend(spans)
    with pytest.raises(ManifestError, match=message):
        manifest.parse(task.SerializeToString())


def test_ids_that_differ_by_case_or_unicode_form_are_other_items_and_are_shown():
    difference = Difference.of(["Alien", "cafe\N{COMBINING ACUTE ACCENT}", "gone"], ["alien", "café", "new"])
    assert (difference.kept, difference.new, difference.retired) == (0, 3, 3)
    assert difference.lookalikes == (("Alien", "alien"), ("cafe\N{COMBINING ACUTE ACCENT}", "café"))
