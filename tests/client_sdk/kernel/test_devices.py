"""The kernel on another device than the CPU: a pretended one, and a GPU where there is one."""

from dataclasses import replace
from itertools import product

import pytest
import torch

from client_sdk.kernel.training import CohortTraining, Task
from fedau2.v1 import task_pb2
from tests.client_sdk.kernel import elsewhere
from tests.client_sdk.kernel.agreement import agree
from tests.client_sdk.kernel.test_gradients import HEADS, PROTECTED, TRIGGERS, make_cohort, make_task, train

TOLERANCE = 1e-4
ROUND = 3


def agrees(place, task, summed, unknown):
    cohort = make_cohort(task, 5, ROUND, unknown)
    expected = train(task, cohort, ROUND, summed)
    own = replace(cohort, state=cohort.state.copy())
    checkpoint = {name: value.numpy() for name, value in (task.shared | task.adversary).items()}
    with elsewhere.entered(place) as device:
        actual = CohortTraining(Task.load(task.manifest, checkpoint, device), ROUND, own, summed=summed).run()
        agree(task, actual, expected, TOLERANCE, summed)


def places(cases, of_all):
    """A GPU takes all cases. A pretended device is slow: of most recommenders it takes one choice only."""
    for name, protects, choice in cases:
        few = name == "fedncf" or choice == of_all
        for place in ("pretended", "cuda") if few else ("cuda",):
            marks = pytest.mark.skipif(place == "cuda" and not torch.cuda.is_available(), reason="there is no GPU")
            yield pytest.param(place, name, protects, choice, marks=marks, id=f"{place}-{name}-{protects}-{choice}")


def cases(choices, of_all):
    """Tests a recommender with every list of states that its adversary may protect, and every choice."""
    every = [(name, protects, choice) for (name, protects), choice in product(PROTECTED, choices)]
    return pytest.mark.parametrize(("place", "name", "protects", "choice"), [*places(every, of_all)])


@pytest.mark.parametrize(("summed", "steps"), [(False, 1), (False, 2), (True, 1), (True, 2)])
@cases(HEADS, task_pb2.HEAD_DSVAE)
def test_every_head_agrees(place, name, protects, choice, steps, summed):
    agrees(place, make_task(name, choice, steps=steps, weights=(0.7, 1.8), protects=protects), summed, [2])


@pytest.mark.parametrize("summed", [False, True])
@cases(TRIGGERS, task_pb2.TRIGGER_SUT)
def test_every_trigger_agrees(place, name, protects, choice, summed):
    agrees(place, make_task(name, trigger=choice, protects=protects), summed, [0])


@pytest.mark.parametrize("summed", [False, True])
@cases(["confusion"], "confusion")
def test_the_objective_confusion_agrees(place, name, protects, choice, summed):
    agrees(place, make_task(name, prior=(3.0, 1.0), protects=protects), summed, [4])


def test_the_pretended_device_finds_a_tensor_that_was_made_elsewhere():
    with elsewhere.entered("pretended") as device:
        moved = torch.ones(2).to(device)
        assert torch.equal((moved * 2 + moved.new_ones(2)).cpu(), torch.full((2,), 3.0))
        for mistake in (lambda: moved + torch.zeros(2), lambda: moved.index_select(0, torch.tensor([1])), moved.numpy):
            with pytest.raises((AssertionError, RuntimeError, TypeError)):
                mistake()
