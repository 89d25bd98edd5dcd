"""Minimises many small objectives side by side; no client's objective depends on the others."""

from collections.abc import Callable

import torch
from torch import Tensor

Objective = Callable[[Tensor], Tensor]
"""From points (B, n) to values (B,); the value of one point does not depend on the others."""

_HISTORY = 10
_HALVINGS = 20
_ARMIJO = 1e-4


def adam(objective: Objective, start: Tensor, steps: int, rate: float, *, sign: bool = False) -> Tensor:
    """Points after some steps of Adam (Kingma and Ba, 2015), (B, n).

    Args:
        objective: may be random; it is evaluated once a step.
        start: (B, n).
        steps: number of steps.
        rate: learning rate. With `sign` it is lowered to a hundredth over the last half of the steps.
        sign: take only the signs of the gradient, as Geiping et al. (2020) do against gradients of small size.
    """
    points = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([points], lr=rate)
    for step in range(steps):
        optimizer.zero_grad()
        torch.autograd.backward(objective(points).sum())
        if sign and points.grad is not None:
            points.grad.sign_()
            optimizer.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - step / steps) + 0.01)
        optimizer.step()
    return points.detach()


def lbfgs(objective: Objective, start: Tensor, steps: int) -> Tensor:
    """Points after some iterations of L-BFGS with backtracking (Nocedal and Wright, 2006, algorithm 7.4), (B, n).

    Args:
        objective: deterministic.
        start: (B, n).
        steps: iterations.
    """
    points = start.clone()
    value, gradient = _evaluated(objective, points)
    pairs: list[tuple[Tensor, Tensor]] = []
    for _ in range(steps):
        direction = -_two_loops(gradient, pairs)
        slope = (direction * gradient).sum(1)
        ascending = slope >= 0
        direction = torch.where(ascending[:, None], -gradient * _cautious(gradient)[:, None], direction)
        slope = (direction * gradient).sum(1)
        moved = points + _step(objective, points, value, direction, slope)[:, None] * direction
        new_value, new_gradient = _evaluated(objective, moved)
        pairs = [*pairs[-_HISTORY + 1 :], (moved - points, new_gradient - gradient)]
        points, value, gradient = moved, new_value, new_gradient
    return points


def _evaluated(objective: Objective, points: Tensor) -> tuple[Tensor, Tensor]:
    variable = points.clone().requires_grad_()
    value = objective(variable)
    (gradient,) = torch.autograd.grad(value.sum(), variable)
    return value.detach(), gradient


def _two_loops(gradient: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The gradient times the inverse Hessian that the pairs of steps and changes describe."""
    direction, used = gradient.clone(), []
    for step, change in reversed(pairs):
        curvature = (step * change).sum(1)
        rho = torch.where(curvature > 1e-12, 1 / curvature.clamp(min=1e-12), 0.0)
        alpha = rho * (step * direction).sum(1)
        direction -= alpha[:, None] * change
        used.append((step, change, rho, alpha, curvature))
    scale = _cautious(gradient)
    if pairs:
        _, change, _, _, curvature = used[0]
        scale = torch.where(curvature > 1e-12, curvature / (change**2).sum(1).clamp(min=1e-12), scale)
    direction *= scale[:, None]
    for step, change, rho, alpha, _ in reversed(used):
        beta = rho * (change * direction).sum(1)
        direction += (alpha - beta)[:, None] * step
    return direction


def _cautious(gradient: Tensor) -> Tensor:
    """A factor that makes a gradient no longer than 1, (B,), for a first step of unknown size."""
    factor: Tensor = 1 / torch.linalg.vector_norm(gradient, dim=1).clamp(min=1)
    return factor


def _step(objective: Objective, points: Tensor, value: Tensor, direction: Tensor, slope: Tensor) -> Tensor:
    """The longest halving of 1 that lowers a client's objective enough, (B,); 0 where no halving does."""
    size = torch.ones_like(value)
    with torch.no_grad():
        for _ in range(_HALVINGS):
            tried = objective(points + size[:, None] * direction)
            short = tried <= value + _ARMIJO * size * slope
            if short.all():
                return size
            size = torch.where(short, size, size / 2)
    return torch.where(short, size, 0.0)
