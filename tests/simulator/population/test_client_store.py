"""The store of a simulated client counts rounds as a device's does."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from simulator.population.client_store import BlobCache, ClientStore
from tests.client_sdk.store.sqlite_store.contents import make_staged


@pytest.mark.parametrize(
    ("masked", "sent", "kept"), [(True, True, 3), (True, False, None), (False, True, None), (False, False, None)]
)
def test_a_refused_contribution_keeps_its_round_if_it_may_be_in_a_sum(masked, sent, kept):
    store = ClientStore(None, 0, BlobCache(), SimpleNamespace(uploaded=0))
    staged = replace(make_staged(3), masked=masked)
    store.stage(staged)
    store.discard(staged.assignment_id, sent=sent)
    assert (store.staged(), store.contributed("task")) == (None, kept)
