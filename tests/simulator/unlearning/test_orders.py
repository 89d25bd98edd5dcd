import numpy as np
import pytest
import torch

from client_sdk.kernel.models import RECOMMENDERS
from fedau2.wire import manifest
from simulator.evaluation.scoring import Scorer
from simulator.unlearning.orders import MARGIN, TOP, Orders
from tests.simulator.unlearning.test_baselines import task_of, tensors

PRIVATE = [name for name in RECOMMENDERS if name != "fedvae"]
SEEDS = range(3)


def drawn(model, seed):
    """A task, its tensors, and histories of which some are empty or leave few items."""
    _, task = task_of(model)
    rng = np.random.default_rng(seed)
    histories = [np.sort(rng.choice(task.items, size, replace=False)) for size in (0, 1, 30, task.items - 3)]
    shared = tensors(task, private=False, seed=seed)
    return task, shared, tensors(task, private=True, users=len(histories), seed=seed), histories


def row(private, user):
    return np.concatenate([private[name][user].ravel() for name in sorted(private)])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("model", PRIVATE)
def test_a_state_loses_what_its_scores_miss_of_the_trained_order(model, seed):
    task, shared, private, histories = drawn(model, seed)
    other = tensors(task, private=True, users=len(histories), seed=seed + 100)
    orders = Orders(task, shared, private, histories)
    trained, changed = (Scorer(task, shared, state, histories)(np.arange(len(histories))) for state in (private, other))
    for user, history in enumerate(histories):
        trained[user, history] = -np.inf
        first = np.argsort(-trained[user], kind="stable")[: min(TOP, task.items - len(history))]
        for scores, state in ((trained[user], private), (changed[user], other)):
            expected = np.maximum(0, np.diff(scores[first]) + MARGIN).sum()
            assert orders.loss(torch.from_numpy(row(state, user)), user).item() == pytest.approx(
                expected, rel=1e-3, abs=1e-3
            )


@pytest.mark.parametrize("model", PRIVATE)
def test_the_loss_falls_along_its_gradient(model):
    task, shared, private, histories = drawn(model, 0)
    other = tensors(task, private=True, users=len(histories), seed=7)
    orders = Orders(task, shared, private, histories)
    state = torch.from_numpy(row(other, 2)).requires_grad_()
    loss = orders.loss(state, 2)
    loss.backward()
    assert (length := state.grad.norm()) > 0
    assert orders.loss((state - 1e-3 / length * state.grad).detach(), 2) < loss


def test_fedvae_has_no_private_state_to_move():
    assert manifest.private(task_of("fedvae")[1]) == []
