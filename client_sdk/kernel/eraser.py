"""The kernel's part of an eraser: states moved by maps, and sums from which the next maps are fitted.

`client_sdk.erasing` says what the maps are, and reads them from a checkpoint.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self, cast

import torch
from torch import Tensor

from client_sdk import erasing
from client_sdk.kernel import grouped, specs
from client_sdk.kernel.contract import Embedder, Gradients, Recommender, Step, Tensors
from client_sdk.plan import EraserPlan
from fedau2.v1.task_pb2 import Eraser
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_STATISTIC, TensorSpec
from fedau2.wire import erasers

_LEAST = 1e-18
"""Mean square below which a state counts as 0."""


def tensors(eraser: Eraser, states: Mapping[str, int]) -> list[TensorSpec]:
    """The tensors of an eraser, all 0 before the first round; `states` are the widths, see `contract.states`."""
    shapes = erasers.shapes(eraser, sum(states[name] for name in eraser.protects))
    return [specs.dense(name, shape, specs.ZEROS, TENSOR_SCOPE_STATISTIC) for name, shape in shapes.items()]


@dataclass(frozen=True, eq=False)
class Maps:
    """The published maps of an eraser, as tensors; the fields are those of `erasing.Maps` that move states."""

    matrix: Tensor
    offset: Tensor
    scale: Tensor
    frequencies: Tensor
    witness: Tensor
    shift: Tensor
    shifts: Tensor
    shifted: Tensor
    live: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, maps: erasing.Maps, device: torch.device | None = None) -> Self:
        """Takes over what a checkpoint publishes, to a device; None: the CPU."""
        return cls(*(torch.as_tensor(getattr(maps, field.name)).to(device) for field in fields(cls)))


def erased(maps: Maps, states: Tensor) -> Tensor:
    """Moves states by the maps, (B, width); no noise is added."""
    return _walk(maps, states @ maps.matrix + maps.offset)[0]


def shown(plan: EraserPlan, maps: Maps, noise: Tensor, states: Tensors) -> Tensors:
    """Returns what a device shows of its user's states: those of the eraser are moved, with the floor of noise.

    Args:
        plan: the eraser.
        maps: the published ones.
        noise: the user's floor, (width,).
        states: of the recommender's `user`, without an axis of clients.
    """
    parts = [states[name] for name in plan.protects]
    moved = erased(maps, torch.cat([part.flatten() for part in parts])[None])[0] + noise
    pieces = torch.split(moved, [part.numel() for part in parts])
    pairs = zip(plan.protects, parts, pieces, strict=True)
    return {**states, **{name: piece.reshape(part.shape) for name, part, piece in pairs}}


def _walk(maps: Maps, states: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
    """Takes the steps from states that the linear map or a shift has moved.

    Returns the moved states, and the features before each step, (B, 2 * frequencies).
    """
    z, features = states / maps.scale, []
    for frequencies, witness, shift in zip(maps.frequencies, maps.witness, maps.shift, strict=True):
        phases, size = z @ frequencies.T, 1 / math.sqrt(frequencies.shape[0])
        cosine, sine = phases.cos() * size, phases.sin() * size
        features.append(torch.cat([cosine, sine], 1))
        by_cosine, by_sine = ((features[-1] @ witness.T - shift) @ witness).chunk(2, 1)
        z = z - (cosine * by_sine - sine * by_cosine) @ frequencies
    return z * maps.scale, features


def _aligned(plan: EraserPlan, maps: Maps, states: Tensor, places: Tensor) -> Tensor:
    """Moves states by the linear map or by their classes' shifts; the arguments are those of `sums`."""
    linear = states @ maps.matrix + maps.offset
    if not plan.shifts:
        return linear
    member = _members(places)
    whole = member @ maps.shifted[:, None] > len(plan.erased) - 0.5  # each of the client's classes has a shift
    return torch.where(whole, states + member @ maps.shifts, linear)


def _members(places: Tensor) -> Tensor:
    """Marks the classes of clients, (B, classes)."""
    return places.reshape(places.shape[0], erasers.FOLDS, -1).sum(1)


def sums(plan: EraserPlan, maps: Maps, states: Tensor, places: Tensor, groups: int) -> Tensors:
    """Computes what clients contribute, by the tensor's name, (G, ...).

    Args:
        plan: the eraser.
        maps: the published ones.
        states: as the encoder computes them, (B, width).
        places: rows of the sums that clients add to, see `erasing.places`, (B, folds * classes).
        groups: number of groups G.
    """
    one = (places.sum(1, keepdim=True) > 0).float()
    mean_square = (states * states).sum(1, keepdim=True) / states.shape[1]
    sizes = torch.cat([one, one * (mean_square + _LEAST).log() / 2], 1)
    row = torch.cat([torch.ones_like(one) * maps.inverse.sign(), states * maps.inverse], 1)
    _, features = _walk(maps, _aligned(plan, maps, states, places))
    steps = [torch.cat([torch.ones_like(one), part], 1) * maps.live for part in features]
    found = {
        erasers.SCALE: grouped.bias_gradient(sizes, groups),
        erasers.LINEAR: grouped.weight_gradient(row * one, row, groups),
        erasers.CLASSES: grouped.weight_gradient(places, row, groups),
        erasers.STEPS: torch.stack([grouped.weight_gradient(places, part, groups) for part in steps], 1),
    }
    if plan.has_pairs:
        member = _members(places)
        found[erasers.PAIRS] = grouped.weight_gradient(member, member, groups)
    return found


def apply(
    recommender: Recommender,
    plan: EraserPlan,
    maps: Maps,
    shared: Tensors,
    private: Tensors,
    step: Step,
    places: Tensor,
    gradients: Gradients,
) -> None:
    """Adds what clients contribute to the sums of an eraser to a step's shared gradients.

    Args:
        recommender: an `Embedder`, if a state is not a private tensor.
        plan: the eraser.
        maps: the published ones.
        shared: the recommender's tensors, as for its `gradients`.
        private: the clients' private tensors, (B, ...).
        step: rows, samples and parameters.
        places: as for `sums`.
        gradients: of the step, which are changed.
    """
    states = private
    if set(plan.protects) - private.keys():
        states = {**private, **cast(Embedder, recommender).embed(shared, private, step)}
    beside = torch.cat([states[name].flatten(1) for name in plan.protects], 1)
    gradients.shared.update(sums(plan, maps, beside, places, step.rows.groups))
