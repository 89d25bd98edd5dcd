"""The server's step on the sums of an eraser: moving averages, to which maps are fitted that devices apply.

The averages are a part of the server's state, which is never served. Only the maps are served.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedau2.erasing import folds, kernel, leace, shifts
from fedau2.v1.task_pb2 import Eraser, TaskManifest
from fedau2.wire import erasers, matchings
from fedau2.wire.blobs import Tensors

_Array = NDArray[np.float64]

ROOM = 0.5
"""Users by which a count may lie below the minimum, since counts have been rounded."""

_BLUR = 3.0
"""Deviations of known noise within which nobody can tell a count from 0."""

_ALIKE = 1e-3
"""Share of the largest singular value below which classes of several attributes count as the same."""

_WEIGHT = "eraser.weight"
"""Name in the server's state of (2,): the sum of the rounds' shares in the averages, and the sum of their squares."""

_AVERAGED = (erasers.LINEAR, erasers.CLASSES, erasers.STEPS, erasers.PAIRS)


def kept(state: Tensors) -> Tensors:
    """Returns the part of the server's state that belongs to the eraser."""
    return {name: state[name] for name in (_WEIGHT, *_AVERAGED) if name in state}


def _averaged(manifest: TaskManifest) -> list[str]:
    return [name for name in erasers.tensors(manifest.plan) if name in _AVERAGED]


def stepped(
    manifest: TaskManifest,
    checkpoint: Tensors,
    state: Tensors,
    mean: Mapping[str, _Array],
    variances: Mapping[str, float],
    members: int,
) -> tuple[Tensors, Tensors]:
    """Returns what is served of the eraser after a round, and the server's state of it.

    A class is rare if fewer users of the round than `Eraser.minimum` have it, and at least one. A round with a rare
    class changes nothing but the size of states, because a reader would subtract the other classes from sums over all.

    Maps that are served stay as they are while the averages are worth too few users for others. A bundle carries the
    maps of its ancestor, and not the averages.

    Args:
        manifest: the checked manifest.
        checkpoint: the tensors before.
        state: the server's state before.
        mean: the mean of each tensor that contributions carried.
        variances: of the known noise on each number of the mean, by tensor; none of a tensor without such noise.
        members: users of the round, or a bound below their number; 0: the policy of secure sums has one.

    Returns:
        Tensors of the checkpoint and of the state that take the places of those before; both are empty without an
        eraser.
    """
    if not manifest.plan.HasField("eraser") or erasers.SCALE not in mean:
        return {}, {}
    eraser, members = manifest.plan.eraser, members or manifest.secure_sums.minimum
    served = {erasers.SCALE: _moved(checkpoint[erasers.SCALE], mean[erasers.SCALE], eraser.rate)}
    unit = matchings.unit(checkpoint[erasers.SCALE])
    complete = all(name in mean for name in _averaged(manifest))
    if not unit or not complete or _has_rare_class(eraser, mean[erasers.CLASSES], variances, members):
        return served, {}
    after: Tensors = {}
    for name in _averaged(manifest):
        before = state.get(name, np.zeros(mean[name].shape, np.float32))
        after[name] = _moved(before, _absolute(name, mean[name], unit), eraser.rate)
    decay, share = 1 - eraser.rate, eraser.rate
    weight = state.get(_WEIGHT, np.zeros(2, np.float32)) * np.array([decay, decay**2]) + np.array([share, share**2])
    after[_WEIGHT] = weight.astype(np.float32)
    sums = _Sums.of(eraser, erasers.widths(manifest), after, members)
    return (served if sums.few and _moves(checkpoint) else served | sums.maps(eraser)), after


def lacking(manifest: TaskManifest, checkpoint: Tensors) -> bool:
    """Returns True if a plan has an eraser, and by a model's maps devices erase nothing."""
    return manifest.plan.HasField("eraser") and not _moves(checkpoint)


def _moves(checkpoint: Tensors) -> bool:
    matrix = checkpoint[erasers.LINEAR][1:, 1:]
    still = not matrix.any() or np.array_equal(matrix, np.eye(len(matrix)))
    return not still or bool(checkpoint[erasers.STEPS].any() or checkpoint[erasers.CLASSES].any())


def _has_rare_class(eraser: Eraser, classes: _Array, variances: Mapping[str, float], members: int) -> bool:
    users = classes[:, 0].reshape(erasers.FOLDS, -1).sum(0) * members
    blur = _BLUR * members * math.sqrt(erasers.FOLDS * variances.get(erasers.CLASSES, 0.0))
    return bool(((users < eraser.minimum - ROOM) & (np.abs(users) > blur)).any())


def _moved(old: NDArray[np.float32], values: _Array, rate: float) -> NDArray[np.float32]:
    return (old + rate * (values - old)).astype(np.float32)


def _absolute(name: str, values: _Array, unit: float) -> _Array:
    """Takes sums out of the unit in which the devices of the round have added states up."""
    if name in (erasers.STEPS, erasers.PAIRS):
        return values
    units = np.append(1.0, np.full(values.shape[1] - 1, unit))
    return np.asarray(values * units if name == erasers.CLASSES else values * units * units[:, None])


@dataclass(frozen=True, eq=False)
class _Sums:
    """The averages of an eraser, by fold and class.

    Attributes:
        widths: numbers of each state that the steps see apart.
        users: number of users that the averages are worth.
        second: products of 1 and the state's numbers, (1 + width, 1 + width).
        classes: users and states, (folds, classes, 1 + width).
        steps: users and features, (steps, folds, classes, 1 + 2 * frequencies).
        pairs: users by two of their classes, (classes, classes).
        present: True for the classes that are erased, (classes,): those that have users in each fold, where their
            attribute has two of them.
        first: the classes of the first attribute among them.
        parts: the classes of each attribute.
    """

    widths: tuple[int, ...]
    users: float
    second: _Array
    classes: _Array
    steps: _Array
    pairs: _Array
    present: NDArray[np.bool_]
    first: NDArray[np.bool_]
    parts: tuple[slice, ...]

    @classmethod
    def of(cls, eraser: Eraser, widths: tuple[int, ...], kept: Tensors, members: int) -> "_Sums":
        second, weight = kept[erasers.LINEAR].astype(np.float64), kept[_WEIGHT].astype(np.float64)
        classes = kept[erasers.CLASSES].astype(np.float64).reshape(erasers.FOLDS, -1, len(second))
        steps = kept[erasers.STEPS].astype(np.float64)
        steps = steps.reshape(len(steps), *classes.shape[:2], -1)
        counts = classes[:, :, 0].sum(0) * members / weight[0]
        everywhere = (classes[:, :, 0] > 0).all(0) & (counts >= eraser.minimum / 2)
        present, first = np.zeros(len(counts), np.bool_), np.zeros(len(counts), np.bool_)
        ends = np.cumsum([0, *(len(part.classes) for part in eraser.erased)])
        parts = tuple(slice(int(start), int(end)) for start, end in itertools.pairwise(ends))
        for part in parts:
            places = part.start + np.flatnonzero(everywhere[part])
            if len(places) > 1:
                first[places] = not first.any()
                present[places] = True
        users = second[0, 0] * members * weight[0] / weight[1]
        none = np.zeros((len(counts), len(counts)))  # no two classes of one attribute go together
        pairs = kept.get(erasers.PAIRS, none).astype(np.float64)
        return cls(widths, users, second, classes, steps, pairs, present, first, parts)

    @property
    def few(self) -> bool:
        """True where the linear map, which has a covariance of so many numbers, would be fitted to chance."""
        return self.users <= len(self.second) - 1

    def maps(self, eraser: Eraser) -> Tensors:
        """Fits the maps; they change nothing where nothing is known, or where there is nothing to erase."""
        width, rows = len(self.second) - 1, erasers.FOLDS * len(self.present)
        linear = np.zeros(self.second.shape)
        steps = np.zeros((len(self.steps), rows, self.steps.shape[-1]))
        classes = np.zeros((rows, 1 + width))
        served = {erasers.LINEAR: linear, erasers.STEPS: steps}
        if eraser.shifts:
            served[erasers.CLASSES] = classes
        if self.second[0, 0] > 0:
            mean = self.second[0, 1:] / self.second[0, 0]
            covariance = self.second[1:, 1:] / self.second[0, 0] - np.outer(mean, mean)
            removed, spread = np.zeros((width, width)), np.diag(covariance)
            if self.present.any() and not self.few:
                removed = self._removed(covariance)
                for number, witness in self._witnesses(eraser).items():
                    steps[number, np.flatnonzero(self.present)] = witness
                spread = np.diag((np.eye(width) - removed).T @ covariance @ (np.eye(width) - removed))
                if eraser.shifts:
                    classes[: len(self.present)], spread = self._shifts(covariance)
            linear[0], linear[1:, 1:] = np.append(1.0, mean @ removed), np.eye(width) - removed
            linear[1:, 0] = np.sqrt(np.maximum(spread, 0))
        return {name: values.astype(np.float32) for name, values in served.items()}

    def _removed(self, covariance: _Array) -> _Array:
        """Returns the part of `x - mean` that the linear map takes away, as a matrix."""
        gaps, shares = self._gaps(self.classes.sum(0, keepdims=True))[0], self._shares()
        removed = leace.removed(covariance, gaps, shares)
        by_fold = self._gaps(self.classes)
        deviations = np.sqrt(np.maximum(np.diag(covariance), 0))
        return folds.strength(by_fold, [part @ removed for part in by_fold], deviations) * removed

    def _shifts(self, covariance: _Array) -> tuple[_Array, _Array]:
        """Fits the shifts of the classes of all attributes.

        Returns:
            1 and the shift of each class that is erased, and 0 for the others, (all classes, 1 + width); the variance
            of each number after the shifts, (width,).
        """
        (gaps,), by_fold = self._gaps(self.classes.sum(0, keepdims=True)), self._gaps(self.classes)
        whole, *apart = self._effects([gaps, *by_fold])
        within = covariance - (gaps.T * self._shares()) @ whole
        rows, moves = np.zeros((len(self.present), len(self.second))), np.zeros(whole.shape)
        for part in self._places():
            moves[part] = shifts.fit(within, whole[part], [effects[part] for effects in apart])
        rows[self.present] = np.concatenate([np.ones((len(moves), 1)), moves], axis=1)
        left = whole + moves
        return rows, np.diag(within) + self._shares() @ (left * (self._mixed() @ left))

    def _places(self) -> list[NDArray[np.intp]]:
        """Returns where the classes of each attribute lie among those that are erased."""
        numbers = np.cumsum(self.present) - 1
        return [numbers[part][self.present[part]] for part in self.parts if self.present[part].any()]

    def _mixed(self) -> _Array:
        """Returns by how much the share of each class is larger among the users of a class than among all."""
        pairs, counts = self.pairs[np.ix_(self.present, self.present)], self.classes[:, self.present, 0].sum(0)
        np.fill_diagonal(pairs, counts)
        return np.asarray(pairs / counts[:, None] - self._shares())

    def _effects(self, gaps: Sequence[_Array]) -> list[_Array]:
        """Takes from a class's gaps what the classes of other attributes that go together with it explain.

        The effects of an attribute's classes are 0 in the mean over users. A single attribute's are the gaps.
        """
        apart, shares, found = np.linalg.pinv(self._mixed(), rcond=_ALIKE), self._shares(), []
        for gap in gaps:
            effects = apart @ gap
            for part in self._places():
                effects[part] -= shares[part] @ effects[part] / shares[part].sum()
            found.append(effects)
        return found

    def _witnesses(self, eraser: Eraser) -> dict[int, _Array]:
        """Returns offset and witness of each step, (classes, 1 + 2 * frequencies), by its number.

        A step on whose witness folds do not agree is left out. Those after it have other frequencies.
        """
        fitted: dict[int, _Array] = {}
        for number, sums in enumerate(self.steps):
            if not (sums[:, self.present, 0] > 0).all() or folds.agreement(self._gaps(sums)) <= 0:
                continue
            whole = sums.sum(0)
            everybody = whole[self.first].sum(0)
            witness = self._gaps(whole[None])[0] * np.sqrt(self._shares())[:, None]
            size = kernel.usual_size(witness, kernel.public(eraser.seed, number, eraser.frequencies, self.widths))
            if not size > 0:
                continue
            witness = witness * math.sqrt(eraser.length / size)
            offset = witness @ (everybody[1:] / everybody[0])
            fitted[number] = np.concatenate([offset[:, None], witness], axis=1)
        return fitted

    def _shares(self) -> _Array:
        counts = self.classes[:, :, 0].sum(0)
        return np.asarray(counts[self.present] / counts[self.first].sum())

    def _gaps(self, sums: _Array) -> list[_Array]:
        """Returns the classes' means less everybody's in each fold, (classes, numbers), of (folds, classes, ...)."""
        gaps = []
        for fold in sums:
            everybody = fold[self.first].sum(0)
            means = fold[self.present, 1:] / fold[self.present, :1]
            gaps.append(means - everybody[1:] / everybody[0])
        return gaps
