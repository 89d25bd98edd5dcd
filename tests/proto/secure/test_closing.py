"""Laws of what stays closed in a sum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from client_sdk.kernel import fcf, fedgnn, fedncf, fedrap, fedvae, pfedrec
from export.bundle import build
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.errors import ContributionError
from fedau2.wire.secure import closing
from fedau2.wire.secure.layout import Layout
from tests import plans
from tests import secure_tasks as make

ITEMS = 12
RECOMMENDERS = st.sampled_from([fedncf, fedrap, fedvae, fcf, pfedrec, fedgnn])


def layout_of(recommender):
    return Layout.of(TaskManifest(items=ITEMS, tensors=recommender.tensors(ITEMS)))


def test_columns_of_closed_rows_are_closed_where_an_adversary_takes_private_rows():
    """FedRAP's adversary reads a row of numbers for each item, next to each other."""
    task = build("fedrap", [str(item) for item in range(ITEMS)], plans.make("fedrap", plans.GENDER), 0).manifest
    layout = Layout.of(task)
    (name,) = [name for name in layout.by_item if name.endswith("hidden.weight")]
    closed = closing.nothing(layout)
    closed[[2, 5]] = True
    places = closing.closed_places(layout, make.policy(), closed)[layout.tensors[name]].reshape(layout.shapes[name])
    width = layout.shapes[name][1] // task.items
    expected = np.repeat(closed[: task.items], width)
    np.testing.assert_array_equal(places, np.tile(expected, (len(places), 1)))


@given(RECOMMENDERS, st.data())
def test_what_is_closed_is_closed_everywhere_and_nothing_else_is(recommender, data):
    layout = layout_of(recommender)
    closed = data.draw(arrays(np.bool_, ITEMS + len(layout.shapes)))
    rows, tensors = closed[:ITEMS], closed[ITEMS:]
    places = closing.closed_places(layout, make.policy(), closed)
    total = np.ones(layout.size, np.int64)
    closing.close(total, layout, closed)
    for flags in (layout.carried, layout.clipped):
        np.testing.assert_array_equal(places[flags], tensors)
        np.testing.assert_array_equal(total[flags] == 0, tensors)
    for (name, place), whole in zip(layout.tensors.items(), tensors, strict=True):
        expected = np.full(layout.shapes[name], whole)
        if layout.shapes[name][0] == ITEMS:
            expected[rows] = True
        np.testing.assert_array_equal(places[place], expected.ravel())
        np.testing.assert_array_equal(total[place] == 0, expected.ravel())


@given(RECOMMENDERS, st.data())
def test_what_is_closed_reads_as_it_was_written(recommender, data):
    layout = layout_of(recommender)
    closed = data.draw(arrays(np.bool_, ITEMS + len(layout.shapes)))
    np.testing.assert_array_equal(closing.read(closing.bits(closed), layout), closed)
    for wrong in (closing.bits(closed) + b"\0", b"\0", closing.bits(closed)[:-1] or b"\0"):
        with pytest.raises(ContributionError):
            closing.read(wrong, layout)


def test_the_last_layer_of_fedvae_has_rows_although_it_is_dense():
    layout = layout_of(fedvae)
    assert layout.tables == ("item_encoder",)
    assert tuple(layout.by_item) == ("item_bias", "item_decoder", "item_encoder")
