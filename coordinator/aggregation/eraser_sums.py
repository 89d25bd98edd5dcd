"""The averages of an eraser's sums, and the maps that are fitted to them."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fedau2.erasing import folds, kernel, leace, shifts
from fedau2.v1.task_pb2 import Eraser
from fedau2.wire import erasers
from fedau2.wire.blobs import Tensors

_Array = NDArray[np.float64]

_ALIKE = 1e-3
"""Share of the largest singular value below which classes of several attributes count as the same."""


@dataclass(frozen=True, eq=False)
class Sums:
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
    def of(
        cls, eraser: Eraser, widths: tuple[int, ...], kept: Tensors, weight: NDArray[np.float32], members: int
    ) -> Self:
        """Reads the averages.

        Args:
            eraser: of the plan.
            widths: numbers of each state that the steps see apart.
            kept: the averages by the tensor's name.
            weight: the sum of the rounds' shares in the averages, and the sum of their squares, (2,).
            members: users of a round.
        """
        second, weight = kept[erasers.LINEAR].astype(np.float64), weight.astype(np.float64)
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
            kept, spread = np.eye(width), np.diag(covariance)
            if self.present.any() and not self.few:
                kept = kept - self._removed(covariance)
                for number, witness in self._witnesses(eraser).items():
                    steps[number, np.flatnonzero(self.present)] = witness
                spread = np.diag(kept.T @ covariance @ kept)
                if eraser.shifts:
                    classes[: len(self.present)], spread = self._shifts(covariance)
            linear[0], linear[1:, 1:] = np.append(1.0, mean - mean @ kept), kept
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
            1 and the shift of each class, (all classes, 1 + width), and the variance of each number after the shifts,
            (width,). A class that is held back has 0. The classes of an attribute that is not erased have 1 and no
            shift.
        """
        (gaps,), by_fold = self._gaps(self.classes.sum(0, keepdims=True)), self._gaps(self.classes)
        whole, *apart = self._effects([gaps, *by_fold])
        within = covariance - (gaps.T * self._shares()) @ whole
        rows, moves = np.zeros((len(self.present), len(self.second))), np.zeros(whole.shape)
        for part in self._places():
            moves[part] = shifts.fit(within, whole[part], [effects[part] for effects in apart])
        rows[self.present] = np.concatenate([np.ones((len(moves), 1)), moves], axis=1)
        for classes in self.parts:
            if not self.present[classes].any():  # the attribute is not erased, and users are shifted by the others
                rows[classes, 0] = 1
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
