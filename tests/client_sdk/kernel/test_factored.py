"""Contributions whose large gradients stay factors are those that devices would send, one by one."""

from dataclasses import replace

import numpy as np
import pytest

from client_sdk.kernel.operations import TORCH
from client_sdk.kernel.training import CohortTraining
from fedau2.wire import manifest
from fedau2.wire.contributions import Rows
from tests.client_sdk.kernel.test_gradients import HEADS, PROTECTED, dense, make_cohort, make_task, train

ROUND, UNKNOWN = 3, 2


def factored(task, cohort, operations=TORCH):
    own = replace(cohort, state=cohort.state.copy())
    return CohortTraining(task, ROUND, own, summed=False, operations=operations, factored=True).run()


def whole(numbers, device, like):
    """The tensor that a device contributes, with 0 in the rows that it has not."""
    out = np.zeros(like.shape, np.float32)
    for rows, block in numbers.blocks(device):
        out.reshape(-1, numbers.shape[2])[rows] = block
    return out


def contributions(training, task, clients):
    """Per client, the tensors that it carries."""
    numbers, likes = training.numbers(), task.shared | task.adversary
    out = [{} for _ in range(clients)]
    for name, values in numbers.items():
        hidden = name.startswith(tuple(manifest.adversary_prefix(plan.name) for plan in task.plan.adversaries))
        members = [client for client in range(clients) if not (hidden and client == UNKNOWN)]
        assert values.shape[0] == len(members)
        for device, client in enumerate(members):
            out[client][name] = whole(values, device, likes[name])
    return out


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("name", "protects"), PROTECTED, ids=lambda value: str(value))
def test_several_clients_at_once(name, protects, head):
    agree(make_task(name, head, weights=(0.7, 1.8), protects=protects), TORCH)


def agree(task, operations):
    cohort = make_cohort(task, 5, ROUND, unknown=[UNKNOWN])
    ours, theirs = factored(task, cohort, operations), train(task, cohort, ROUND)
    np.testing.assert_allclose(ours.report().loss, theirs.report().loss, 1e-5, 1e-5)
    for client, expected in enumerate(theirs.contributions()):
        actual = contributions(ours, task, 5)[client]
        assert actual.keys() == expected.keys()
        for tensor, update in expected.items():
            like = dense(update, (task.shared | task.adversary)[tensor])
            assert np.abs(actual[tensor] - like).max() <= 1e-5 * max(np.abs(like).max(), 1e-6)


@pytest.mark.parametrize(("name", "protects"), PROTECTED, ids=lambda value: str(value))
def test_a_client_alone_has_the_numbers_of_its_device(name, protects):
    task = make_task(name, protects=protects)
    cohort = make_cohort(task, 1, ROUND)
    (expected,) = train(task, cohort, ROUND).contributions()
    numbers = factored(task, cohort).numbers()
    assert numbers.keys() == expected.keys()
    for tensor, update in expected.items():
        like = (task.shared | task.adversary)[tensor]
        np.testing.assert_array_equal(whole(numbers[tensor], 0, like), dense(update, like))
        if isinstance(update, Rows):
            assert set(update.indices) <= set(numbers[tensor].rows[0].tolist())
