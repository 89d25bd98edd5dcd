"""`fedau2-sim bench` measures the same work on both sides."""

import numpy as np
import pytest

from simulator.bench.workloads import NAIVE, PaperWorkload

ITEMS, CLIENTS = 60, 100


@pytest.fixture(params=NAIVE)
def workload(request):
    rng = np.random.default_rng(0)
    interactions = [np.sort(rng.choice(ITEMS, 8, replace=False)) for _ in range(CLIENTS)]
    return PaperWorkload(request.param, interactions, rng.integers(0, 2, CLIENTS), ITEMS)


def shared(workload):
    """The tensors of both servers."""
    ours = [value.copy() for value in workload._engines["torch"].checkpoint.values()]
    return ours, [tensor.detach().clone().numpy() for tensor in workload._loop._shared]


def test_both_take_the_servers_step_or_neither_does(workload):
    start = shared(workload)
    workload.training(1)
    for before, after in zip(start, shared(workload), strict=True):
        assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    workload.rounds(1)
    for before, after in zip(start, shared(workload), strict=True):
        assert not all(np.array_equal(*pair) for pair in zip(before, after, strict=True))


def test_both_train_as_many_numbers(workload):
    ours, naive = shared(workload)
    assert sum(map(np.size, ours)) == sum(map(np.size, naive))
