"""The native kernel and PyTorch's, teacher-forced: from the same input their results agree to 1e-5."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client_sdk.kernel.training import CohortTraining
from tests.client_sdk.kernel import agreement, test_factored
from tests.client_sdk.kernel.test_gradients import HEADS, PROTECTED, TRIGGERS, dense, make_cohort, make_task, train

TOLERANCE = 1e-5
KNOWN = [(name, protects) for name, protects in PROTECTED if name not in ("fcf", "pfedrec", "fedgnn")]
ROUND = 3


def agree(operations, task, cohort, summed):
    """Trains a cohort with both, and compares all that training gives."""
    own = replace(cohort, state=cohort.state.copy())
    chosen = operations(task.manifest.model)
    actual = CohortTraining(task, ROUND, own, summed=summed, operations=chosen).run()
    agreement.agree(task, actual, train(task, cohort, ROUND, summed), TOLERANCE, summed)


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("name", "protects"), KNOWN, ids=lambda value: str(value))
def test_every_head_agrees(operations, name, protects, head, steps, summed):
    task = make_task(name, head, steps=steps, weights=(0.7, 1.8), protects=protects)
    agree(operations, task, make_cohort(task, 5, ROUND, unknown=[2]), summed)


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize(("name", "protects"), KNOWN, ids=lambda value: str(value))
def test_every_trigger_agrees(operations, name, protects, trigger, summed):
    task = make_task(name, trigger=trigger, protects=protects)
    agree(operations, task, make_cohort(task, 5, ROUND, unknown=[0]), summed)


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize(("name", "protects"), KNOWN, ids=lambda value: str(value))
def test_the_objective_confusion_agrees(operations, name, protects, summed):
    task = make_task(name, prior=(3.0, 1.0), protects=protects)
    agree(operations, task, make_cohort(task, 5, ROUND, unknown=[4]), summed)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("name", "protects"), KNOWN, ids=lambda value: str(value))
def test_contributions_as_factors_agree(operations, name, protects, head):
    task = make_task(name, head, protects=protects)
    test_factored.agree(task, operations(task.manifest.model))


@given(clients=st.integers(1, 8), seed=st.integers(0, 10**6), data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cohort_agrees(operations, clients, seed, data):
    """Of one step: from the second on inputs differ by rounding, and Adam divides small gradients by their own size."""
    name, protects = data.draw(st.sampled_from(KNOWN))
    task = make_task(name, data.draw(st.sampled_from(HEADS)), protects=protects)
    unknown = data.draw(st.lists(st.integers(0, clients - 1)))
    agree(operations, task, make_cohort(task, clients, ROUND, unknown, seed), data.draw(st.booleans()))


@pytest.mark.parametrize(("name", "protects"), KNOWN, ids=lambda value: str(value))
def test_a_second_call_gives_the_same_bytes(operations, name, protects):
    task = make_task(name, protects=protects)
    cohort = make_cohort(task, 6)
    results = []
    for _ in range(2):
        own = replace(cohort, state=cohort.state.copy())
        training = CohortTraining(task, 0, own, summed=True, operations=operations(task.manifest.model)).run()
        sums = {
            tensor: dense(update, (task.shared | task.adversary)[tensor])
            for tensor, update in training.summed()[0].items()
        }
        results.append((sums, training.state().pack()))
    assert results[0][1] == results[1][1]
    for tensor, value in results[0][0].items():
        np.testing.assert_array_equal(results[1][0][tensor], value)
