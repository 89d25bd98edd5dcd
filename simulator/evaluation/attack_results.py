"""The result of an attribute attack: its figures, each beside what it is on permuted labels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simulator.evaluation import nulls

Numbers = NDArray[np.floating]


@dataclass(frozen=True)
class Figure:
    """A measure of an attack.

    Attributes:
        value: the mean over splits. For two classes it is max(b, 1 - b), since an attacker who is reliably wrong knows
            the attribute too.
        null_mean: mean of the same on permuted labels, by the same pipeline.
        null_p95: 95th percentile of the same.
        p: p-value of the attack, not corrected for other attacks.
    """

    value: float
    null_mean: float
    null_p95: float
    p: float

    @classmethod
    def of(cls, value: float, chance: Numbers, p: float) -> Self:
        """Compares a value with those on permuted labels, (permutations,), given its p-value."""
        return cls(float(value), float(chance.mean()), float(np.percentile(chance, 95)), float(p))


@dataclass(frozen=True)
class Largest:
    """The most that any of an attacker's families reads.

    Cross-validation never chooses a family that is reliably wrong, and this does: each is folded by itself.

    Attributes:
        name: of the family with the largest balanced accuracy.
        bacc: the largest balanced accuracy. On permuted labels another family may be the largest each time.
        auc: the largest AUC, which may be another family's.
        bacc_of: balanced accuracy of each family, folded.
        auc_of: AUC of each family, folded.
    """

    name: str
    bacc: Figure
    auc: Figure
    bacc_of: Mapping[str, float]
    auc_of: Mapping[str, float]


@dataclass(frozen=True)
class AttackResult:
    """The result of an attack.

    Attributes:
        bacc: balanced accuracy.
        auc: area under the ROC curve; with more classes, the mean of those of each class against the others.
        std: standard deviation of the balanced accuracy over splits.
        macro_f1: F1, the mean over classes and then over splits.
        users: number of users whose state was attacked.
        families: number of the attack's splits in which the attacker chose each family; empty if it has only one.
        largest: the most that a family reads; None if the attacker has only one.
    """

    bacc: Figure
    auc: Figure
    std: float
    macro_f1: float
    users: int
    families: Mapping[str, int] = field(default_factory=dict)
    largest: Largest | None = None


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of an attack in its splits, and then in those of each permutation of the labels.

    Attributes:
        bacc: balanced accuracy of each family, (splits, families).
        auc: AUC of each family, (splits, families).
        macro_f1: of the family that the attacker chose, (splits,).
        chosen: numbers of these families, (splits,).
    """

    bacc: Numbers
    auc: Numbers
    macro_f1: Numbers
    chosen: NDArray[np.int64]

    def result(self, families: Sequence[str], users: int, splits: int, permutations: int, classes: int) -> AttackResult:
        """Computes the result.

        Args:
            families: their names; empty for an attacker who has only one.
            users: number of users whose state was attacked.
            splits: number of the attack's own splits, which come first.
            permutations: number of permutations of the labels.
            classes: number of classes.
        """
        bacc, auc = (
            _Measure.of(scores, self.chosen, splits, permutations, classes) for scores in (self.bacc, self.auc)
        )
        return AttackResult(
            bacc=bacc.chosen(),
            auc=auc.chosen(),
            std=float(self.bacc[np.arange(splits), self.chosen[:splits]].std()),
            macro_f1=float(self.macro_f1[:splits].mean()),
            users=users,
            families=Counter(families[number] for number in self.chosen[:splits]) if families else {},
            largest=_largest(bacc, auc, families) if families else None,
        )


@dataclass(frozen=True, eq=False)
class _Measure:
    """A measure of all families, and last of the families that the attacker chose.

    Attributes:
        means: folded, (families + 1,).
        chance: the same on permuted labels, (permutations, families + 1).
        p: p-values, (families + 1,).
    """

    means: Numbers
    chance: Numbers
    p: Numbers

    @classmethod
    def of(cls, scores: Numbers, chosen: NDArray[np.int64], splits: int, permutations: int, classes: int) -> Self:
        whole = np.concatenate([scores, np.take_along_axis(scores, chosen[:, None], 1)], axis=1)
        permuted = whole[splits:].reshape(permutations, -1, whole.shape[1])
        means = np.array([nulls.folded(column, classes) for column in whole[:splits].T])
        chance = nulls.chance(permuted, splits, classes)
        return cls(means, chance, nulls.p_values(means, chance, classes))

    def chosen(self) -> Figure:
        return Figure.of(self.means[-1], self.chance[:, -1], self.p[-1])

    def largest(self) -> Figure:
        """Returns the largest mean; its p-value is the smallest of the families, times their number (Bonferroni)."""
        families = len(self.means) - 1
        p = min(1.0, families * self.p[:-1].min())
        return Figure.of(self.means[:-1].max(), self.chance[:, :-1].max(1), p)


def _largest(bacc: _Measure, auc: _Measure, families: Sequence[str]) -> Largest:
    bacc_of, auc_of = (dict(zip(families, part.means[:-1].tolist(), strict=True)) for part in (bacc, auc))
    return Largest(max(bacc_of, key=bacc_of.__getitem__), bacc.largest(), auc.largest(), bacc_of, auc_of)
