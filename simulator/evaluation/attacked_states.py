"""The client states that are attacked, and the attacks of all attackers on them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, eigh, qr_multiply

from simulator.evaluation.attack_results import AttackResult, Figure
from simulator.evaluation.attacked_users import expect_finite
from simulator.evaluation.scoring import Scorer
from simulator.population.columns import Column, blocks

_NUMBERS = 2**22
"""Numbers of all users' features that are read at a time."""

AXES = 128
"""Most principal axes of a state that has more features than there are users."""


@dataclass(frozen=True, eq=False)
class AttackedStates:
    """The states of the clients that are attacked, (clients, width).

    Attributes:
        embedding: the state that the paper attacks.
        private: all private state; for a model without private state the embedding itself.
    """

    embedding: NDArray[np.float32]
    private: NDArray[np.float32]

    @classmethod
    def of(cls, scorer: Scorer, private: Mapping[str, Column], users: NDArray[np.int64] | None = None) -> Self:
        """Collects the states of a model version with some clients, or with all."""
        (embedding,) = scorer.embedding(users).values()
        attacked = narrow([embedding])
        if users is not None:
            private = {name: column[users] for name, column in private.items()}
        return cls(attacked, narrow([private[name] for name in sorted(private)]) if private else attacked)


def metrics(result: AttackResult, name: str, suffix: str) -> dict[str, Any]:
    """Names the figures of an attack.

    Args:
        result: of the attack.
        name: of the attacker.
        suffix: "_all" for all private state, empty for the paper's embedding.
    """
    figures = {
        **named("bacc", result.bacc, f"{name}{suffix}"),
        f"bacc_std_{name}{suffix}": result.std,
        **named("auc", result.auc, f"{name}{suffix}"),
        f"macro_f1_{name}{suffix}": result.macro_f1,
        **({f"{name}_families{suffix}": dict(result.families)} if result.families else {}),
    }
    largest = result.largest
    if largest is None:
        return figures
    return figures | {
        **named("bacc", largest.bacc, f"largest{suffix}"),
        **named("auc", largest.auc, f"largest{suffix}"),
        f"largest_family{suffix}": largest.name,
        f"bacc_by_family{suffix}": dict(largest.bacc_of),
        f"auc_by_family{suffix}": dict(largest.auc_of),
    }


def named(measure: str, figure: Figure, attack: str) -> dict[str, float]:
    """Names a figure of the attack X, its null and its p-value: `bacc_X`, `bacc_null_mean_X`, `bacc_null_p95_X` and
    `bacc_p_X`.
    """
    return {
        f"{measure}_{attack}": figure.value,
        f"{measure}_null_mean_{attack}": figure.null_mean,
        f"{measure}_null_p95_{attack}": figure.null_p95,
        f"{measure}_p_{attack}": figure.p,
    }


def narrow(columns: Sequence[Column]) -> NDArray[np.float32]:
    """Joins features side by side. If there are more features than users, their principal components replace them.

    In that case the features are standardised first, and the components are rotated at random, so that no axis stands
    out and standardising them again changes little. docs/attacks.md compares this with attacks on all axes.
    """
    users = columns[0].shape[0]
    if sum(math.prod(column.shape[1:]) for column in columns) <= users:
        return np.concatenate(list(blocks(columns, _NUMBERS)), axis=1)
    try:
        values, vectors = eigh(_products(columns).T, overwrite_a=True, driver="evd")
    except LinAlgError:  # divide and conquer sometimes does not converge on a singular matrix
        values, vectors = eigh(_products(columns).T, overwrite_a=True, driver="evr")
    vectors *= np.sqrt(values.clip(min=0))
    axes = min(users, AXES)
    rotation = np.random.default_rng(0).standard_normal((axes, axes))
    rotated, _ = qr_multiply(rotation, vectors[:, -axes:], mode="right", overwrite_a=True, overwrite_c=True)
    return np.ascontiguousarray(rotated, np.float32)


def _products(columns: Sequence[Column]) -> NDArray[np.float64]:
    """Computes the inner products of all users' standardised features, (users, users)."""
    users = columns[0].shape[0]
    products = np.zeros((users, users))
    for features in blocks(columns, _NUMBERS):
        expect_finite(features, np.arange(users))
        spread = features.std(0)
        scaled = ((features - features.mean(0)) / np.where(spread > 0, spread, 1)).astype(np.float64)
        products += scaled @ scaled.T
    return products
