"""Steps against all that a Gaussian kernel sees of classes, by random Fourier features (Rahimi and Recht, 2007).

Features of a standardised state z are the cosines and sines of frequencies times z, over the root of their number. The
difference of a class's mean features from everybody's is its witness. A step moves z along the gradient of half the
squared products of witnesses and features, less everybody's.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

BANDWIDTHS = (0.5, 1.0, 2.0)
"""Widths of the kernels that are added up, in root widths of the state."""


def frequencies(rng: np.random.Generator, count: int, width: int) -> Matrix:
    """Draws random frequencies for states of so many numbers, (count, width)."""
    spreads = np.resize(BANDWIDTHS, count) * math.sqrt(width)
    return np.asarray(rng.standard_normal((count, width)) / spreads[:, None])


def turn(step: int, states: int) -> int:
    """Returns which of several states, side by side, a step of an eraser sees; `states`: all of them.

    Steps take turns: whoever sees one state alone must not read from it what all states together hide.
    """
    return (step - 1) % (states + 1) if states > 1 else states


def public(seed: int, step: int, count: int, widths: Sequence[int]) -> Matrix:
    """Draws the frequencies of a step of an eraser, which everybody knows, (count, width).

    Args:
        seed: of the eraser.
        step: the step's number, from 0.
        count: number of frequencies.
        widths: numbers of each state; the frequencies are 0 for the numbers of states that the step does not see.
    """
    rng, seen = np.random.Generator(np.random.Philox(key=[seed, step])), turn(step, len(widths))
    if seen == len(widths):
        return frequencies(rng, count, sum(widths))
    drawn, start = np.zeros((count, sum(widths))), sum(widths[:seen])
    drawn[:, start : start + widths[seen]] = frequencies(rng, count, widths[seen])
    return drawn


def usual_size(witness: Matrix, drawn: Matrix) -> float:
    """Returns about how large a number of the gradient is that the step moves, where phases are spread evenly.

    Args:
        witness: of each class, times the root of its share, (classes, 2 * frequencies).
        drawn: the frequencies, (frequencies, width).
    """
    count, width = len(drawn), np.count_nonzero(drawn.any(0))
    cosine, sine = witness[:, :count], witness[:, count:]
    lengths = (drawn * drawn).sum(1)
    shown = (cosine @ cosine.T + sine @ sine.T) / (2 * count)
    moved = ((cosine * lengths) @ cosine.T + (sine * lengths) @ sine.T) / (2 * count)
    return math.sqrt(max(float((shown * moved).sum()) / width, 0.0))
