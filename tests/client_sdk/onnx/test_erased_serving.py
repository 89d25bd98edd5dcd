"""What a device recommends by a task whose eraser has shifts: its user's class takes part in it."""

import numpy as np
import pytest

from client_sdk.kernel import fedncf
from client_sdk.onnx.serving import Serving
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Model
from export import sums
from export.bundle import build
from export.sums import Policy, TensorGrid
from fedau2.wire import blobs, erasers, manifest
from tests import plans

ITEMS = [f"film-{number}" for number in range(12)]
SETTINGS = {"eraser__shifts": True, "eraser__floor": 0, "eraser__steps": 1, "eraser__frequencies": 4}


@pytest.fixture
def adopted(store):
    """A store with a model that publishes shifts for both classes."""
    plan = plans.make("fedncf", erased=[plans.GENDER], **SETTINGS)
    built = build("fedncf", ITEMS, plan, 0, fedncf.Widths(gmf=3, mlp=4, hidden=(4,)), training=False)
    shared = manifest.shared(built.manifest)
    grids = {name: TensorGrid(exponent=8, clip=2**10) for name in shared}
    policy = Policy(
        modulus_bits=24, value_bits=14, minimum=64, row_threshold=10, max_participations=0, touched_rows=10.0,
        grids=grids,
    )  # fmt: skip
    task = sums.add(built, policy)
    tensors = dict(blobs.unpack(task.blob(task.manifest.checkpoint)))
    linear = np.array(tensors[erasers.LINEAR])
    linear[0, 0], linear[1:, 1:] = 1, np.eye(len(linear) - 1)
    linear[1:, 0] = 1
    classes = np.array(tensors[erasers.CLASSES])
    classes[:2] = np.random.default_rng(0).standard_normal(classes[:2].shape)
    classes[:2, 0] = 1
    packed = blobs.pack(tensors | {erasers.LINEAR: linear, erasers.CLASSES: classes})
    described = task.manifest.SerializeToString(deterministic=True)
    parts = [packed, described, task.blob(task.manifest.catalogue)]
    for data in (*parts, *(task.blob(graph.resource) for graph in task.manifest.graphs)):
        store.keep_blob(blobs.resource(data), data)
    store.adopt(Model("task", 3, blobs.resource(described), blobs.resource(packed)))
    return Serving(store, Trust())


def test_scores_are_those_of_the_users_class_as_long_as_the_device_knows_it(store, adopted):
    def scores(value):
        store.set_attribute("gender", value)
        return adopted.scores(ITEMS)

    silent, male, female = (scores(value) for value in (None, "M", "F"))
    assert len({tuple(found.values()) for found in (silent, male, female)}) == 3
    assert scores("another") == silent
    assert scores("M") == male
    assert scores(None) == silent
