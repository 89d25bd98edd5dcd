"""Steps against all that a Gaussian kernel sees of classes, by random Fourier features (Rahimi and Recht, 2007).

Features of a standardised state z are the cosines and sines of frequencies times z, over the root of their number. The
difference of a class's mean features from everybody's is its witness. A step moves z along the gradient of half the
squared products of witnesses and features, less everybody's.
"""

import math

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

BANDWIDTHS = (0.5, 1.0, 2.0)
"""Widths of the kernels that are added up, in root widths of the state."""


def frequencies(rng: np.random.Generator, count: int, width: int) -> Matrix:
    """Draws random frequencies for states of so many numbers, (count, width)."""
    spreads = np.resize(BANDWIDTHS, count) * math.sqrt(width)
    return np.asarray(rng.standard_normal((count, width)) / spreads[:, None])


def public(seed: int, step: int, count: int, width: int) -> Matrix:
    """Draws the frequencies of a step of an eraser, which everybody knows."""
    return frequencies(np.random.Generator(np.random.Philox(key=[seed, step])), count, width)


def usual_size(witness: Matrix, drawn: Matrix) -> float:
    """Returns about how large a number of the gradient is, where the phases of users are spread evenly.

    Args:
        witness: of each class, times the root of its share, (classes, 2 * frequencies).
        drawn: the frequencies, (frequencies, width).
    """
    count, width = drawn.shape
    cosine, sine = witness[:, :count], witness[:, count:]
    lengths = (drawn * drawn).sum(1)
    shown = (cosine @ cosine.T + sine @ sine.T) / (2 * count)
    moved = ((cosine * lengths) @ cosine.T + (sine * lengths) @ sine.T) / (2 * count)
    return math.sqrt(max(float((shown * moved).sum()) / width, 0.0))
