"""A bias's gradient tells exactly whether the adversary was right, whatever the number and the weights of classes."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.kernel.adversary import _cross_entropy_gradient, _margin
from client_sdk.plan import AdversaryPlan
from fedau2.v1.task_pb2 import Adversary
from simulator.attacks.gates import _right


@given(st.integers(0, 10**6), st.integers(2, 6), st.booleans())
@settings(deadline=None)
def test_the_prediction_follows_from_the_gradient_of_the_bias(seed, classes, weighted):
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(50, classes, generator=draw)
    labels = torch.randint(classes, (50,), generator=draw)
    weights = (0.2 + 5 * torch.rand(classes, generator=draw)).tolist() if weighted else []
    adversary = Adversary(classes=[str(c) for c in range(classes)], class_weights=weights)
    margin = _margin(logits, labels)
    right = _right(adversary, _cross_entropy_gradient(AdversaryPlan.of(adversary), logits, labels))
    decided = margin.abs() > 1e-3
    assert torch.equal(right[decided], margin[decided] > 0)
