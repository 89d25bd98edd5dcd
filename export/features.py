"""Predicts the rows of new items from features, such as genres or vectors of a text, by ridge regression.

For each tensor with a row for each item, a linear map from features to trained rows is fitted in closed form. Its
penalty is the one with the least generalised cross-validation error (Golub, Heath and Wahba, Technometrics 1979).
"""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.errors import FeaturesError
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_SHARED
from fedau2.wire import item_axes, manifest
from fedau2.wire.succession import Succession

Vector = tuple[float, ...]

_LARGEST = 1e100
"""Largest absolute value of a feature. The sum of squares of such numbers is finite."""

_PENALTIES = np.logspace(-3, 5, 33)


def read(path: Path) -> dict[str, Vector]:
    """Features by item id from a UTF-8 CSV file without a header: an id and then numbers, one item a line.

    Raises:
        FeaturesError: the file cannot be read, repeats an item, or its lines do not have the same number of numbers.
    """
    described: dict[str, Vector] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, line in enumerate(csv.reader(file), 1):
                item, vector = _parse(line, f"{path}, line {number}")
                if item in described:
                    raise FeaturesError(f"{path}, line {number}: {item!r} is there already")
                described[item] = vector
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FeaturesError(f"{path}: the features cannot be read: {error}") from error
    lengths = {len(vector) for vector in described.values()}
    if len(lengths) != 1 or lengths == {0}:
        raise FeaturesError(f"{path}: every line must hold an item and the same number of numbers, at least one")
    return described


def _parse(line: Sequence[str], where: str) -> tuple[str, Vector]:
    try:
        vector = tuple(map(float, line[1:]))
    except ValueError as error:
        raise FeaturesError(f"{where}: {error}") from error
    if not line or not all(map(math.isfinite, vector)):
        raise FeaturesError(f"{where}: an item and finite numbers are expected")
    if any(abs(number) > _LARGEST for number in vector):
        raise FeaturesError(f"{where}: a number is larger than {_LARGEST:.0e}; scale the features")
    return line[0], vector


def predict(
    task: TaskManifest,
    way: Succession,
    before: Sequence[str],
    after: Sequence[str],
    trained: Mapping[str, NDArray[np.float32]],
    fresh: Mapping[str, NDArray[np.float32]],
    described: Mapping[str, Vector],
) -> int:
    """Writes predictions into the rows of new items that have features.

    Args:
        task: the new manifest.
        way: from the old catalogue to the new one.
        before: the old catalogue.
        after: the new catalogue.
        trained: the old checkpoint.
        fresh: the new checkpoint; its rows of new items are changed.
        described: features by item id.

    Returns:
        The number of new items with predicted rows.

    Raises:
        FeaturesError: no item of the old catalogue has features, or the predictions are not finite.
    """
    known = [row for row, item in enumerate(before) if item in described]
    new = [row for row, item in enumerate(after) if way.rows[row] < 0 and item in described]
    if not known:
        raise FeaturesError("no item of the bundle that is gone on from has features, so nothing can be learned")
    fit = np.array([described[before[row]] for row in known])
    unseen = np.array([described[after[row]] for row in new]).reshape(len(new), fit.shape[1])
    for name, spec in manifest.shared(task).items():
        rows = spec.scope == TENSOR_SCOPE_SHARED and item_axes.of(spec) == 0 and not spec.item_spans
        if rows and name in trained and trained[name].shape[1:] == fresh[name].shape[1:]:
            targets = trained[name][known].reshape(len(known), -1)
            with np.errstate(over="ignore", invalid="ignore"):  # the result is checked
                predicted = ridge(fit, targets, unseen)
            if not np.isfinite(predicted).all():
                raise FeaturesError(f"{name}: the rows that the features predict are not finite; scale the features")
            fresh[name][new] = predicted.reshape(len(new), *fresh[name].shape[1:])
    return len(new)


def ridge(fit: NDArray[np.float64], targets: NDArray[np.floating], unseen: NDArray[np.float64]) -> NDArray[np.float32]:
    """Predicts targets by ridge regression with an intercept.

    Args:
        fit: features, (n, f).
        targets: their targets, (n, d).
        unseen: features to predict for, (m, f).

    Returns:
        The predictions, (m, d).
    """
    centre, mean = fit.mean(0), targets.mean(0, dtype=np.float64)
    scale = fit.std(0)
    scale[scale == 0] = 1
    left, singular, right = np.linalg.svd((fit - centre) / scale, full_matrices=False)
    projected = left.T @ (targets - mean)
    total = float(((targets - mean) ** 2).sum())

    def error(penalty: float) -> float:
        factors = singular**2 / (singular**2 + penalty)
        residual = total - float(((1 - (1 - factors) ** 2)[:, None] * projected**2).sum())
        return residual / max(len(fit) - 1 - float(factors.sum()), 1e-9) ** 2

    penalty = min(_PENALTIES, key=error)
    shrunk = (singular / (singular**2 + penalty))[:, None] * projected
    predicted: NDArray[np.float64] = mean + ((unseen - centre) / scale) @ (right.T @ shrunk)
    return predicted.astype(np.float32)
