"""The library's server step has the bytes of NumPy's."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.aggregation import optimizers
from fedau2 import native
from fedau2.v1.task_pb2 import OPTIMIZER_KIND_ADAM, Optimizer

means = st.floats(-(2.0**40), 2.0**40)
numbers = st.floats(-(2.0**20), 2.0**20, width=32)


def steps(values, gradients, variance):
    optimizer = Optimizer(kind=OPTIMIZER_KIND_ADAM, learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8)
    state = {}
    for gradient in gradients:
        values = optimizers._stepped(optimizer, "tensor", values, state, gradient, variance)
    return {"values": values, **state}


@given(
    rows=st.lists(st.tuples(numbers, means, means, means), min_size=1, max_size=40),
    variance=st.sampled_from([0.0, 1e-3, 5.0]),
    turned=st.booleans(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_steps_have_the_same_bytes(package, rows, variance, turned):
    table = np.array(rows)
    values = table[:, :1].astype(np.float32)
    gradients = list(table.T[1:, :, None]) if turned else [column.copy() for column in table.T[1:, :, None]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "arithmetic", package.load)
        ours = steps(values, gradients, variance)
        patch.setattr(native, "arithmetic", lambda: None)
        theirs = steps(values, gradients, variance)
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        assert ours[name].tobytes() == array.tobytes(), name


def test_a_large_tensor_has_the_same_bytes(variant, monkeypatch):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 257)).astype(np.float32)
    gradients = [rng.normal(size=values.shape) * 10.0**exponent for exponent in (-20, -3, 0, 9)]
    monkeypatch.setattr(native, "arithmetic", lambda: None)
    theirs = steps(values, gradients, 0.0)
    monkeypatch.setattr(native, "arithmetic", lambda: variant)
    ours = steps(values, gradients, 0.0)
    for name, array in theirs.items():
        assert ours[name].tobytes() == array.tobytes(), name
