"""Laws of what stays closed in a sum."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from client_sdk.kernel import fcf, fedgnn, fedncf, fedrap, fedvae, pfedrec
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.secure import closing
from fedau2.wire.secure.layout import Layout
from tests import secure_tasks as make

ITEMS = 12
ROWS = arrays(np.bool_, ITEMS)


def layout_of(recommender):
    return Layout.of(TaskManifest(items=ITEMS, tensors=recommender.tensors(ITEMS)))


@given(st.sampled_from([fedncf, fedrap, fedvae, fcf, pfedrec, fedgnn]), ROWS)
def test_a_closed_row_is_closed_in_every_tensor_with_a_row_for_each_item(recommender, rows):
    layout = layout_of(recommender)
    places = closing.closed_places(layout, make.policy(), rows)
    total = np.ones(layout.size, np.int64)
    closing.close(total, layout, rows)
    for name, place in layout.tensors.items():
        closed = places[place]
        np.testing.assert_array_equal(closed, total[place] == 0)
        if layout.shapes[name][0] == ITEMS:
            np.testing.assert_array_equal(closed.reshape(ITEMS, -1).all(1), rows)
            np.testing.assert_array_equal(closed.reshape(ITEMS, -1).any(1), rows)
        else:
            assert not closed.any()


def test_the_last_layer_of_fedvae_has_rows_although_it_is_dense():
    layout = layout_of(fedvae)
    assert layout.tables == ("item_encoder",)
    assert layout.by_item == ("item_bias", "item_decoder", "item_encoder")
