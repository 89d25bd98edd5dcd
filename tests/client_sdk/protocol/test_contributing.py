"""The contribution of a device that has no tensor to carry."""

import pytest

from client_sdk.kernel.models import RECOMMENDERS
from client_sdk.protocol.contributing import nothing
from export.bundle import build
from fedau2.wire import contributions, manifest
from tests import plans

ITEMS = [str(item) for item in range(20_000)]


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_it_is_small_whatever_the_catalogue_and_taken_in_a_pass(model):
    task = build(model, ITEMS, plans.make(model, plans.GENDER, server__passes=1), 0, training=False, serving=False)
    data = contributions.encode(nothing(task.manifest))
    assert len(data) < 2_000
    updates = contributions.Decoder(manifest.shared(task.manifest), 1.0)(data)
    contributions.check_round(task.manifest, updates, 1)
    contributions.check_round(task.manifest, updates, 0)
