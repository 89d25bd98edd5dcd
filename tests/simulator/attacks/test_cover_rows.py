"""Cover rows are told from those that training gave, exactly."""

import numpy as np
import pytest

from client_sdk.kernel.models import RECOMMENDERS
from fedau2.wire.contributions import Rows
from simulator.attacks.cover_rows import uncovered
from simulator.attacks.recommenders import fedncf
from simulator.attacks.recommenders.contract import rows_of

TABLES = {
    "fedncf": ("item_gmf", "item_mlp"),
    "fedrap": ("item_common",),
    "fcf": ("item_vector",),
}


def contributions(observed, model, number=5, **settings):
    """Whole contributions of some clients with cover rows, and the items of their samples."""
    task, population = observed(20, model=model, head="mlp", **settings)
    for member in range(8):
        cohort = population.cohort(task.manifest, number, np.array([member]))
        own = np.unique(np.concatenate([step.items for step in cohort.samples[0]]))
        yield task, population.contribution(task, number, member), own


@pytest.mark.parametrize("cover_rows", [0.3, 2.0])
@pytest.mark.parametrize("model", TABLES)
def test_what_is_left_are_the_rows_of_samples(observed, model, cover_rows):
    for task, sent, own in contributions(observed, model, cover_rows=cover_rows):
        left = uncovered(task, sent)
        assert left.keys() == sent.keys()
        for name in sent:
            if name not in TABLES[model]:
                assert left[name] is sent[name]
                continue
            assert len(rows_of(sent, name).indices) > len(own)
            assert np.isin(own, left[name].indices).all()
            # A penalty of FedRAP's, or a row of FCF's, may have the size of an own one by chance.
            assert len(left[name].indices) <= len(own) + (model != "fedncf")
            there = np.isin(sent[name].indices, left[name].indices)
            np.testing.assert_array_equal(left[name].values, sent[name].values[there])


@pytest.mark.parametrize(("model", "table"), [("fedvae", "item_encoder"), ("fedgnn", "item_message")])
def test_the_items_biases_show_what_was_recorded(observed, model, table):
    for task, sent, own in contributions(observed, model, cover_rows=2.0):
        found = uncovered(task, sent)[table].indices
        assert np.isin(found, own).all()
        assert len(found) > 0.95 * len(own)


@pytest.mark.parametrize("settings", [{}, {"cover_rows": 1.0, "steps": 2}])
@pytest.mark.parametrize("model", RECOMMENDERS)
def test_nothing_is_left_out_where_there_is_no_cover_or_no_gradient(observed, model, settings):
    assert all(uncovered(task, sent) is sent for task, sent, _ in contributions(observed, model, **settings))


def test_rows_without_size_are_not_held_for_own(observed):
    task, sent, own = next(contributions(observed, "fedncf", cover_rows=1.0))
    table = sent["item_mlp"]
    blank = {
        **sent,
        "item_mlp": Rows(table.indices, np.where(np.isin(table.indices, own[:3])[:, None], 0, table.values)),
    }
    assert np.isfinite(fedncf.trained_rows(task, blank)).all()
    assert not np.isin(own[:3], fedncf.trained_rows(task, blank)).any()
