"""The kernel's part of distribution matching: statistics of a cohort, and the push on its states.

`client_sdk.matching` says what the features are, and computes what a checkpoint publishes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from client_sdk.kernel import grouped, specs
from client_sdk.kernel.adversary import total
from client_sdk.kernel.contract import Encoder, Gradients, Recommender, Step, Tensors
from client_sdk.matching import Published
from client_sdk.plan import MatchingPlan
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_STATISTIC, TensorSpec
from fedau2.wire import matchings

_LEAST = 1e-18
"""Mean square below which a state counts as 0."""


def tensors(matching: MatchingPlan, states: Mapping[str, int]) -> list[TensorSpec]:
    """The statistics of a matching, all 0 before the first round; `states` are the widths, see `contract.states`."""
    width = sum(states[name] for name in matching.protects)
    shapes = {
        matchings.means(matching.name): [matching.classes + 1, 1 + width + 2 * matching.frequencies],
        matchings.moments(matching.name): [1 + width, 1 + width],
        matchings.scale(matching.name): [2],
    }
    return [specs.dense(name, shape, specs.ZEROS, TENSOR_SCOPE_STATISTIC) for name, shape in shapes.items()]


@dataclass(frozen=True, eq=False)
class Matcher:
    """A matching with what the checkpoint publishes of it, as tensors; the fields are those of `Published`.

    Attributes:
        plan: the matching.
        weight: the plan's, or a tensor that stands for it while a graph is made of the step.
    """

    plan: MatchingPlan
    centre: Tensor
    map: Tensor
    witness: Tensor
    offset: Tensor
    live: Tensor
    inverse: Tensor
    weight: float | Tensor

    @classmethod
    def of(cls, plan: MatchingPlan, published: Published, device: torch.device | None = None) -> "Matcher":
        """Takes over what a checkpoint publishes, to a device; None: the CPU."""
        names = ("centre", "map", "witness", "offset", "live", "inverse")
        tensors = {name: torch.as_tensor(getattr(published, name)).to(device) for name in names}
        return cls(plan, **tensors, weight=plan.weight)


@dataclass(frozen=True, eq=False)
class Matched:
    """The result of a matching in a local step.

    Attributes:
        statistics: the sums that are contributed, (G, ...), by the tensor's name.
        push: addends to the gradients of the protected states, (B, ...).
    """

    statistics: Tensors
    push: Tensors


def match_one(matcher: Matcher, states: Tensors, rows: Tensor, groups: int) -> Matched:
    """Computes the statistics of clients, and the gradients of the loss by their states.

    The published statistics are constants in this gradient.

    Args:
        matcher: the matching.
        states: protected states by name, (B, ...).
        rows: each client's class number, or the number of classes where it is not known, int64 (B,); -1: the client
            takes no part.
        groups: number of groups G.
    """
    plan = matcher.plan
    x = torch.cat([states[name].flatten(1) for name in plan.protects], 1)
    mapped = (x - matcher.centre) @ matcher.map
    linear, phases = mapped[:, : x.shape[1]], mapped[:, x.shape[1] :]
    scale = 1 / math.sqrt(plan.frequencies)
    cosine, sine = phases.cos() * scale, phases.sin() * scale
    member = (rows[:, None] == torch.arange(plan.classes + 1, device=rows.device)).float()
    one = member.sum(1, keepdim=True)
    features = torch.cat([one, linear, cosine, sine], 1) * matcher.live
    moments = torch.cat([one * matcher.inverse.sign(), x * one * matcher.inverse], 1)
    mean_square = (x * x).sum(1, keepdim=True) / x.shape[1]
    sizes = torch.cat([one, one * (mean_square + _LEAST).log() / 2], 1)
    statistics = {
        matchings.means(plan.name): grouped.weight_gradient(member, features, groups),
        matchings.moments(plan.name): grouped.weight_gradient(moments, moments, groups),
        matchings.scale(plan.name): grouped.bias_gradient(sizes, groups),
    }
    told = (torch.cat([linear, cosine, sine], 1) @ matcher.witness.T - matcher.offset) * one
    parts = [linear.shape[1], plan.frequencies, plan.frequencies]
    by_linear, by_cosine, by_sine = torch.split(told @ matcher.witness, parts, 1)
    by_map = torch.cat([by_linear, cosine * by_sine - sine * by_cosine], 1)
    push = by_map @ matcher.map.T * matcher.weight
    pushes = torch.split(push, [states[name].flatten(1).shape[1] for name in plan.protects], 1)
    pairs = zip(plan.protects, pushes, strict=True)
    return Matched(statistics, {name: part.reshape(states[name].shape) for name, part in pairs})


def rows(plan: MatchingPlan, labels: Tensor) -> Tensor:
    """The rows of clients for `match_one`, from class numbers, int64 (B,), in which -1 stands for not known."""
    return torch.where(labels >= 0, labels, torch.full_like(labels, plan.classes))


def apply(
    recommender: Recommender,
    matchers: Sequence[Matcher],
    shared: Tensors,
    private: Tensors,
    step: Step,
    rows: Tensors,
    gradients: Gradients,
) -> None:
    """Adds the pushes of matchings to a step's gradients, and their statistics to the shared ones.

    Args:
        recommender: computes and moves the states that are not private tensors; it is an `Encoder` then.
        matchers: at least one.
        shared: the recommender's tensors, as for its `gradients`.
        private: the clients' private tensors, (B, ...).
        step: rows, samples and parameters.
        rows: each client's row by matching, see `match_one`.
        gradients: of the step, which are changed.
    """

    def match(states: Tensors) -> Tensors:
        pushes = []
        for matcher in matchers:
            matched = match_one(matcher, states, rows[matcher.plan.name], step.rows.groups)
            gradients.shared.update(matched.statistics)
            pushes.append(matched.push)
        return total(pushes)

    derived = {name for matcher in matchers for name in matcher.plan.protects} - private.keys()
    if derived:
        for name, value in cast(Encoder, recommender).pull(shared, step, match).items():
            gradients.shared[name] = gradients.shared[name] + value
        return
    for name, push in match(private).items():
        gradients.private[name] = gradients.private[name] + push
