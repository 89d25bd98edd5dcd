"""Many objectives side by side are minimised as each would be alone."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.attacks import optimize


def bowls(seed, clients=4, width=3):
    """Convex quadratics of different shapes, with their minima."""
    draw = torch.Generator().manual_seed(seed)
    root = torch.randn(clients, width, width, generator=draw, dtype=torch.float64)
    shape = root @ root.transpose(1, 2) + 0.1 * torch.eye(width, dtype=torch.float64)
    centre = torch.randn(clients, width, generator=draw, dtype=torch.float64)

    def value(points, rows=slice(None)):
        away = points - centre[rows]
        return torch.einsum("bi,bij,bj->b", away, shape[rows], away)

    return value, centre


@settings(deadline=None)
@given(st.integers(0, 99))
def test_lbfgs_finds_the_minimum(seed):
    value, centre = bowls(seed)
    found = optimize.lbfgs(value, torch.zeros_like(centre), 60)
    assert (value(found) <= 1e-6 * value(torch.zeros_like(centre)) + 1e-9).all()


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(0, 3))
def test_no_client_touches_another(seed, client):
    value, centre = bowls(seed)
    rows = slice(client, client + 1)
    start = torch.zeros_like(centre)
    for minimise in (
        lambda objective, points: optimize.lbfgs(objective, points, 8),
        lambda objective, points: optimize.adam(objective, points, 8, 0.1),
        lambda objective, points: optimize.adam(objective, points, 8, 0.1, sign=True),
    ):
        alone = minimise(lambda points: value(points, rows), start[rows])
        torch.testing.assert_close(minimise(value, start)[rows], alone, rtol=1e-6, atol=1e-9)


def test_lbfgs_never_climbs():
    start = torch.linspace(-3, 3, 14, dtype=torch.float64).view(7, 2)

    def banana(points):
        x, y = points[:, 0], points[:, 1]
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    heights = torch.stack([banana(optimize.lbfgs(banana, start, n)) for n in range(12)])
    assert (heights.diff(dim=0) <= 1e-9).all()
    assert (heights[-1] < heights[0] / 2).all()
