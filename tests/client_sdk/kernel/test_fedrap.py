"""What is FedRAP's own."""

import numpy as np
import pytest

from client_sdk.kernel.fedrap import SUM, Widths
from fedau2.v1 import task_pb2
from tests.client_sdk.kernel.test_gradients import ITEMS, make_cohort, make_task, train


@pytest.mark.parametrize("protects", [[SUM], ["item_personal"]])
@pytest.mark.parametrize("trigger", [task_pb2.TRIGGER_GLOBAL, task_pb2.TRIGGER_OFF])
def test_the_reversed_gradient_reaches_every_item_where_it_is_let_through(trigger, protects):
    task = make_task("fedrap", trigger=trigger, protects=protects)
    cohort = make_cohort(task, 3)
    state = train(task, cohort, summed=True).state()
    for client in range(3):
        moved = (state.values["item_personal"] != cohort.state.values["item_personal"])[client].any(1)
        sampled = np.isin(np.arange(ITEMS), cohort.samples[client][0].items)
        assert 0 < sampled.sum() < ITEMS
        np.testing.assert_array_equal(moved, sampled | (trigger == task_pb2.TRIGGER_GLOBAL))


def test_a_contribution_names_the_sampled_rows_and_no_others():
    task = make_task("fedrap")
    cohort = make_cohort(task, 3)
    for client, contribution in enumerate(train(task, cohort).contributions()):
        rows = contribution["item_common"].indices
        np.testing.assert_array_equal(rows, np.unique(cohort.samples[client][0].items))
        assert "item_personal" not in contribution


def test_vectors_of_no_number_are_refused():
    with pytest.raises(ValueError, match="at least one number"):
        Widths(latent=0)
