"""Declares a task in its manifest: the tensors of its recommender and of its adversaries."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from client_sdk.kernel.models import RECOMMENDERS
from client_sdk.plan import MatchingPlan
from export.errors import PlanError, UnknownModelError
from fedau2.v1.task_pb2 import DRAW_UNSPECIFIED, DRAW_WHOLE, Plan, TaskManifest
from fedau2.wire import manifest, matchings, plans

if TYPE_CHECKING:
    from client_sdk.kernel.contract import Recommender
    from client_sdk.kernel.models import RecommenderEntry


def recommender(model: str) -> "RecommenderEntry":
    """Finds a recommender by its name.

    Raises:
        UnknownModelError: there is no such recommender.
    """
    if model not in RECOMMENDERS:
        raise UnknownModelError(f"no recommender is called {model!r}; there is {', '.join(RECOMMENDERS)}")
    return RECOMMENDERS[model]


def draft(model: str, items: int, plan: Plan, widths: Any) -> TaskManifest:  # noqa: ANN401
    """Begins a manifest, with the tensors of its recommender.

    Args:
        model: name of the recommender.
        items: number of items.
        plan: of the task.
        widths: the recommender's own `Widths`; None for its defaults.

    Raises:
        UnknownModelError: there is no such recommender.
    """
    task = TaskManifest(format=manifest.FORMAT, model=model, plan=plan, items=items)
    task.tensors.extend(recommender(model).model.tensors(items, widths))
    return task


def complete(task: TaskManifest) -> None:
    """Enters the tensors of adversaries, matchings and the eraser in a draft, and what they may see of derived states.

    Raises:
        PlanError: the plan cannot be run with this recommender.
        ManifestError, UnsupportedTaskError: the same.
    """
    from client_sdk.kernel import adversary, contract, eraser, matching, models

    declared = recommender(task.model)
    states = contract.states(declared.model, task.tensors)
    private = {spec.name for spec in manifest.private(task)}
    task.draw = getattr(declared.model, "DRAW", DRAW_UNSPECIFIED)
    if task.draw == DRAW_UNSPECIFIED and task.plan.HasField("interactions"):
        raise PlanError(f"interactions: {task.model} draws in a way of its own, which knows no weights")
    plan = models.plan_of(task)
    if task.draw == DRAW_WHOLE:
        task.noise = len(declared.model.draw(plan, np.zeros(1, np.int64), bytes(16), 0)[0].noise)
    task.derived_states.extend(name for name in states if name not in private)
    plans.check_plan(task.plan, set(states))
    for adversary_plan in plan.adversaries:
        task.tensors.extend(adversary.tensors(adversary_plan, states, task.items))
    for matching_plan in plan.matchings:
        _expect_matched(matching_plan, declared.model, states, private)
        task.tensors.extend(matching.tensors(matching_plan, states))
    if plan.eraser:
        _expect_erased(declared.model, states, private, task)
        task.tensors.extend(eraser.tensors(task.plan.eraser, states))


def _expect_erased(
    model: "Recommender", states: Mapping[str, int], private: Collection[str], task: TaskManifest
) -> None:
    from client_sdk.kernel import contract

    width = sum(states.values())
    if width > matchings.MAX_WIDTH:
        raise PlanError(
            f"erased: what a device of {task.model} shows has {width:,} numbers, and an eraser takes at most "
            f"{matchings.MAX_WIDTH:,}, since it needs all products of two: write erased: none"
        )
    along = {spec.name for spec in manifest.private(task) if spec.item_axis}
    along |= {name for name in states if name.startswith(contract.ITEM)}
    if along:
        raise PlanError(
            f"erased: the size of {', '.join(sorted(along))} depends on the catalogue, and an eraser takes no such "
            "state: write erased: none"
        )
    if set(states) - set(private) and not hasattr(model, "embed"):
        raise PlanError(
            f"erased: {task.model} computes states of its users and does not say in training what they are: write "
            "erased: none"
        )


def _expect_matched(
    plan: MatchingPlan, model: "Recommender", states: Mapping[str, int], private: Collection[str]
) -> None:
    width = sum(states[name] for name in plan.protects)
    if width > matchings.MAX_WIDTH:
        raise PlanError(
            f"matching {plan.name!r}: its states have {width:,} numbers, and matchings take at most "
            f"{matchings.MAX_WIDTH:,}, since they need all products of two: match fewer or narrower states"
        )
    if set(plan.protects) - set(private) and not hasattr(model, "pull"):
        raise PlanError(f"matching {plan.name!r}: the recommender does not say how its computed states are moved")
