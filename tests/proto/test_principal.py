"""Principal axes, also where LAPACK's divide and conquer does not converge."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedau2 import principal


def singular(seed, width, rank, stacked=()):
    rows = np.random.default_rng(seed).standard_normal((*stacked, rank, width))
    return rows.mT @ rows


def agree(matrices, values, axes):
    width = matrices.shape[-1]
    scale = np.abs(matrices).max()
    assert np.abs((axes * values[..., None, :]) @ axes.mT - matrices).max() < 1e-12 * width * scale
    assert np.abs(axes.mT @ axes - np.eye(width)).max() < 1e-12 * width
    assert (np.diff(values) >= -1e-12 * scale).all()


SHAPES = {"seed": st.integers(0, 2**32 - 1), "width": st.integers(1, 40), "rank": st.integers(1, 40)}


@given(**SHAPES)
def test_axes_and_values_make_the_matrix(seed, width, rank):
    matrix = singular(seed, width, rank)
    agree(matrix, *principal.axes(matrix))


@given(**SHAPES)
def test_the_other_algorithm_makes_the_same_matrix(seed, width, rank):
    matrix = singular(seed, width, rank)
    agree(matrix, *principal._singular(matrix))


def test_one_matrix_without_convergence_stops_no_other(monkeypatch):
    """The matrices that fail depend on the processor, so the failure is made."""
    matrices = singular(0, 5, 3, stacked=(4,))
    computed = np.linalg.eigh

    def fails(given):
        if given.ndim > 2 or np.array_equal(given, matrices[1]):
            raise np.linalg.LinAlgError("Eigenvalues did not converge")
        return computed(given)

    monkeypatch.setattr(np.linalg, "eigh", fails)
    values, axes = principal.axes(matrices)
    agree(matrices, values, axes)
    assert axes[0].tobytes() == computed(matrices[0])[1].tobytes()
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.eigh(matrices)
