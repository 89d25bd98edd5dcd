"""The plan of a task as plain values, which code that trains takes in place of wire messages.

`TrainingPlan.of` alone reads them from a manifest, which must have been checked. A recommender's own parameters are
numbers by name here. `client_sdk.kernel.models.plan_of` makes the recommender's `Parameters` of them.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from fedau2.v1.task_pb2 import Adversary, Draw, Eraser, Head, LocalUpdate, Matching, Objective, TaskManifest, Trigger
from fedau2.wire import erasers, passes

if TYPE_CHECKING:
    from torch import Tensor

P = TypeVar("P")

WIDTH = 100
"""Width of an adversary's hidden layer where the plan names none."""


@dataclass(frozen=True)
class LocalPlan:
    """The local update, for every recommender alike; the fields are those of the message `LocalUpdate`."""

    steps: int
    negatives: int
    chunk: int
    private_learning_rate: float = 0.0
    shared_learning_rate: float = 0.0

    @classmethod
    def of(cls, local: LocalUpdate) -> "LocalPlan":
        """Reads the message."""
        rates = local.private_learning_rate, local.shared_learning_rate
        return cls(local.steps, local.negatives, local.chunk, *rates)


@dataclass(frozen=True)
class AdversaryPlan:
    """One adversary, as far as training it needs.

    The four fields before the last are numbers; tensors stand for them while a graph is made of the local step.

    Attributes:
        name: begins the names of its tensors, see `prefix`.
        classes: number of classes.
        protects: names of the states that it sees.
        head: its last layer.
        trigger: when the reversed gradient reaches the states.
        objective: the aim of the gradient that reaches the states.
        variance: of n1, for the heads dsvae and scalar.
        epsilon: scale of what is added to the states' gradients.
        pretrain_rounds: first round in which the trigger `pretrain` fires.
        class_weights: of the cross-entropy, one per class; empty: all 1.
        prior: shares of the classes, one per class; empty: all alike.
        width: of the hidden layer.
    """

    name: str
    classes: int
    protects: tuple[str, ...]
    head: Head.ValueType
    trigger: Trigger.ValueType
    objective: Objective.ValueType
    variance: float = 0.0
    epsilon: "float | Tensor" = 0.0
    pretrain_rounds: "int | Tensor" = 0
    class_weights: "tuple[float, ...] | Tensor" = ()
    prior: "tuple[float, ...] | Tensor" = ()
    width: int = WIDTH

    @classmethod
    def of(cls, adversary: Adversary) -> "AdversaryPlan":
        """Reads the message."""
        return cls(
            name=adversary.name,
            classes=len(adversary.classes),
            protects=tuple(adversary.protects),
            head=adversary.head,
            trigger=adversary.trigger,
            objective=adversary.objective,
            variance=adversary.variance,
            epsilon=adversary.epsilon,
            pretrain_rounds=adversary.pretrain_rounds,
            class_weights=tuple(adversary.class_weights),
            prior=tuple(adversary.prior),
            width=adversary.width or WIDTH,
        )

    @property
    def structure(self) -> "AdversaryPlan":
        """The same without its numbers: two adversaries of one structure have the same training graph."""
        kept = self.name, self.classes, self.protects, self.head, self.trigger, self.objective
        return AdversaryPlan(*kept, width=self.width)


@dataclass(frozen=True)
class MatchingPlan:
    """One matching, as far as a device needs it; the fields are those of the message `Matching`.

    Attributes:
        name: names its tensors.
        classes: number of classes.
        protects: names of the states that are matched.
        frequencies: number of random frequencies.
        bandwidth: width of the kernel.
        ridge: added to variances, in mean variances.
        weight: scale of the push.
        seed: of the frequencies.
    """

    name: str
    classes: int
    protects: tuple[str, ...]
    frequencies: int
    bandwidth: float = 0.0
    ridge: float = 0.0
    weight: float = 0.0
    seed: int = 0

    @classmethod
    def of(cls, matching: Matching) -> "MatchingPlan":
        """Reads the message."""
        numbers = matching.bandwidth, matching.ridge, matching.weight, matching.seed
        return cls(matching.name, len(matching.classes), tuple(matching.protects), matching.frequencies, *numbers)

    @property
    def structure(self) -> "MatchingPlan":
        """The same without its numbers: two matchings of one structure have the same training graph."""
        return MatchingPlan(self.name, self.classes, self.protects, self.frequencies)


@dataclass(frozen=True)
class EraserPlan:
    """The eraser, as far as a device needs it; the fields are those of the message `Eraser`.

    Attributes:
        erased: name and number of classes of each erased attribute.
        protects: names of the states, which lie side by side in this order.
        steps: most kernel steps.
        frequencies: number of random frequencies of a step.
        floor: deviation of the noise.
        seed: of the frequencies.
        shifts: True if a device that knows its classes moves its state by their shifts, in place of the linear map.
        widths: numbers of each state; none: they are one to the steps.
    """

    erased: tuple[tuple[str, int], ...]
    protects: tuple[str, ...]
    steps: int
    frequencies: int
    floor: float = 0.0
    seed: int = 0
    shifts: bool = False
    widths: tuple[int, ...] = ()

    @classmethod
    def of(cls, eraser: Eraser, widths: tuple[int, ...] = ()) -> "EraserPlan":
        """Reads the message; `widths` are those of the states, see `erasers.widths`."""
        erased = tuple((part.name, len(part.classes)) for part in eraser.erased)
        numbers = eraser.steps, eraser.frequencies, eraser.floor, eraser.seed
        return cls(erased, tuple(eraser.protects), *numbers, eraser.shifts, widths)

    @property
    def classes(self) -> int:
        """Number of classes of all attributes together."""
        return sum(classes for _, classes in self.erased)

    @property
    def starts(self) -> tuple[int, ...]:
        """Number of the first class of each attribute among those of all attributes."""
        return tuple(itertools.accumulate((classes for _, classes in self.erased[:-1]), initial=0))

    @property
    def has_pairs(self) -> bool:
        """True if users are counted by two of their classes."""
        return self.shifts and len(self.erased) > 1

    @property
    def structure(self) -> "EraserPlan":
        """The same without its numbers: two erasers of one structure have the same graphs."""
        return EraserPlan(self.erased, self.protects, self.steps, self.frequencies, shifts=self.shifts)


@dataclass(frozen=True, eq=False)
class TrainingPlan(Generic[P]):
    """All that a local update needs to know of a task, except the values of its tensors.

    Attributes:
        items: length of the catalogue.
        shapes: the shape of every tensor, by name.
        local: the local update.
        adversaries: the adversaries in the plan's order.
        parameters: the recommender's own: numbers by name, or its `Parameters`.
        draw: the way in which samples are drawn.
        noise: numbers of noise that the recommender itself adds in each local step.
        matchings: the matchings in the plan's order.
        eraser: the eraser; None: nothing is erased.
        passes: rounds after each step of the recommender in which it stays as it is.
    """

    items: int
    shapes: Mapping[str, tuple[int, ...]]
    local: LocalPlan
    adversaries: tuple[AdversaryPlan, ...]
    parameters: P
    draw: Draw.ValueType
    noise: int
    matchings: tuple[MatchingPlan, ...] = ()
    eraser: EraserPlan | None = None
    passes: int = 0

    @staticmethod
    def of(task: TaskManifest) -> "TrainingPlan[Mapping[str, float]]":
        """Reads a manifest."""
        return TrainingPlan(
            items=task.items,
            shapes={spec.name: tuple(spec.shape) for spec in task.tensors},
            local=LocalPlan.of(task.plan.local),
            adversaries=tuple(map(AdversaryPlan.of, task.plan.adversaries)),
            matchings=tuple(map(MatchingPlan.of, task.plan.matchings)),
            eraser=EraserPlan.of(task.plan.eraser, erasers.widths(task)) if task.plan.HasField("eraser") else None,
            parameters=dict(task.plan.parameters),
            draw=task.draw,
            noise=task.noise,
            passes=task.plan.server.passes,
        )

    def personal(self) -> "TrainingPlan[P]":
        """Returns the plan of a personal step: one local step, which moves private tensors on a model of any round."""
        return replace(self, local=replace(self.local, steps=1), passes=0)

    def moves(self, round_number: int) -> bool:
        """Returns True if a round moves the recommender and private tensors, False if it is a pass."""
        return passes.moves(self.passes, round_number)
