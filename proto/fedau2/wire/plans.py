"""Checks plans and closing rules, for devices and for the coordinator alike."""

import math
from collections.abc import Mapping

from fedau2.v1 import task_pb2
from fedau2.v1.task_pb2 import Adversary, ClosingRule, LocalUpdate, Optimizer, Plan
from fedau2.wire import erasers, matchings, weights
from fedau2.wire.checks import positive, require

MAX_STEPS = 1_000
"""Most local steps of one round."""

MAX_PARAMETERS = 64
"""Most parameters of a recommender in a plan."""

MAX_CONTRIBUTIONS = 1_000_000
"""Largest `ClosingRule.maximum`."""

MAX_WIDTH = 4_096
"""Largest width of an adversary's hidden layer."""

MAX_OVER_SELECTION = 100
"""The largest share of places beyond the goal."""

_SHARES = 1e-6
"""Rounding of float32 shares, relative."""


def check_plan(plan: Plan, states: set[str]) -> None:
    """Checks a plan against the names of the private tensors and derived states that it may protect.

    Raises:
        ManifestError: the text says what is wrong.
    """
    _check_local(plan.local)
    _check_parameters(plan.parameters)
    if plan.HasField("interactions"):
        weights.check(plan.interactions)
    _check_optimizer("server.shared", plan.server.shared)
    require(len(plan.adversaries) <= 16, "more than 16 adversaries")
    names = [adversary.name for adversary in plan.adversaries]
    require(len(set(names)) == len(names), "two adversaries have the same name")
    for adversary in plan.adversaries:
        _check_adversary(adversary, states)
    if plan.adversaries:
        _check_optimizer("server.adversary", plan.server.adversary)
    matchings.check(plan, states)
    erasers.check(plan, states)
    _check_rounds(plan)
    for name in ("clip_norm", "clip_medians"):
        value = getattr(plan.server, name)
        require(math.isfinite(value) and value >= 0, f"server.{name} must be 0 or a positive number, not {value}")
    require(
        not plan.server.clip_medians or plan.server.clip_norm > 0,
        "server.clip_medians needs a positive server.clip_norm, which holds before a median is known; with secure sums "
        "both must be 0",
    )


def _check_rounds(plan: Plan) -> None:
    """Checks what depends on a round's number."""
    restarting = [adversary.name for adversary in plan.adversaries if adversary.restart_every]
    require(
        not restarting or not plan.server.HasField("buffered"),
        "server.most_stale must be 0 where adversaries restart: a late contribution would be of tensors that are gone. "
        f"restart_every is above 0 for {', '.join(restarting)}",
    )
    cycle, apart = plan.server.passes + 1, plan.minimum_separation
    require(
        cycle == 1 or not apart or apart % cycle > 0,
        f"minimum_separation is {apart}, a multiple of server.passes + 1: a device that takes part as often as it may "
        "would meet passes alone, or none",
    )


def check_closing(rule: ClosingRule) -> None:
    """Checks a closing rule.

    Raises:
        ManifestError: the text says what is wrong.
    """
    require(
        1 <= rule.minimum <= rule.goal <= rule.maximum <= MAX_CONTRIBUTIONS,
        f"closing rule: 1 <= minimum <= goal <= maximum <= {MAX_CONTRIBUTIONS} does not hold",
    )
    require(
        0 <= rule.over_selection <= MAX_OVER_SELECTION,
        f"closing rule: over_selection lies between 0 and {MAX_OVER_SELECTION}, not at {rule.over_selection:g}",
    )
    require(rule.aggregation in task_pb2.Aggregation.values(), f"closing rule: unknown aggregation {rule.aggregation}")
    trimmed = rule.aggregation == task_pb2.AGGREGATION_TRIMMED_MEAN
    require(
        0 < rule.trim < 0.5 if trimmed else not rule.trim,
        f"closing rule: a trimmed mean has a trim above 0 and below 0.5, and others have none, not {rule.trim:g}",
    )
    require(
        not trimmed or trimmed_values(rule.trim, rule.minimum) > 0,
        f"closing rule: a trim of {rule.trim:g} leaves out no value of {rule.minimum} contributions, the minimum of a "
        f"round: raise the minimum to {_least_minimum(rule.trim)}, or the trim",
    )
    require(rule.deadline.ToTimedelta().total_seconds() > 0, "closing rule: the deadline is not positive")
    require(rule.lease.ToTimedelta().total_seconds() > 0, "closing rule: the lease is not positive")


def trimmed_values(trim: float, count: int) -> int:
    """Returns the number of values that a trimmed mean leaves out at either end; at least one value is kept.

    Args:
        trim: share of the values, at most 0.5. A float32 may lie just below the share that was meant.
        count: number of the values, at least 1.
    """
    return min(int(trim * count * (1 + _SHARES)), (count - 1) // 2)


def _least_minimum(trim: float) -> int:
    return max(3, math.ceil(1 / (trim * (1 + _SHARES)))) if trim else 0


def _check_local(local: LocalUpdate) -> None:
    require(1 <= local.steps <= MAX_STEPS, f"local.steps must lie in [1, {MAX_STEPS}]")
    require(local.negatives >= 1, "local.negatives must be at least 1")
    require(local.chunk >= 1, "local.chunk must be at least 1")
    require(positive(local.private_learning_rate), "local.private_learning_rate must be positive")
    require(math.isfinite(local.cover_rows) and local.cover_rows >= 0, "local.cover_rows must not be negative")
    require(local.steps == 1 or positive(local.shared_learning_rate), "local.shared_learning_rate must be positive")


def _check_parameters(parameters: Mapping[str, float]) -> None:
    """Checks what can be checked without knowing the recommender, which alone knows its parameters."""
    require(len(parameters) <= MAX_PARAMETERS, f"the plan has more than {MAX_PARAMETERS} parameters")
    for name, value in parameters.items():
        require(0 < len(name.encode()) <= 128, "a parameter's name is empty or longer than 128 bytes")
        require(math.isfinite(value), f"parameter {name!r} must be a finite number, not {value}")


def _check_adversary(adversary: Adversary, states: set[str]) -> None:
    where = f"adversary {adversary.name!r}"
    require(bool(adversary.name) and bool(adversary.attribute), f"{where}: name and attribute must be given")
    # Tensors are found by their prefix, which a dot would make ambiguous.
    require("." not in adversary.name, f"{where}: a name must not contain a dot")
    require(len(adversary.classes) >= 2, f"{where}: fewer than two classes")
    require(len(set(adversary.classes)) == len(adversary.classes), f"{where}: a class is listed twice")
    unknown = set(adversary.protects) - states
    known = ", ".join(sorted(states))
    require(bool(adversary.protects), f"{where}: protects is empty; the recommender has {known}")
    require(not unknown, f"{where}: protects unknown states {sorted(unknown)}; the recommender has {known}")
    require(adversary.head in task_pb2.Head.values() and adversary.head != 0, f"{where}: unknown head {adversary.head}")
    require(adversary.trigger in task_pb2.Trigger.values() and adversary.trigger != 0, f"{where}: unknown trigger")
    spread = adversary.head in (task_pb2.HEAD_DSVAE, task_pb2.HEAD_SCALAR)
    require(not spread or positive(adversary.variance), f"{where}: variance must be positive")
    require(adversary.width <= MAX_WIDTH, f"{where}: width is at most {MAX_WIDTH}, not {adversary.width}")
    require(math.isfinite(adversary.epsilon) and adversary.epsilon >= 0, f"{where}: epsilon must not be negative")
    require(adversary.objective in task_pb2.Objective.values(), f"{where}: unknown objective {adversary.objective}")
    for name in ("clip_norm", "noise_multiplier"):
        value = getattr(adversary, name)
        require(math.isfinite(value) and value >= 0, f"{where}: {name} must be 0 or a positive number, not {value}")
    require(
        not adversary.noise_multiplier or adversary.clip_norm > 0,
        f"{where}: noise_multiplier is in units of clip_norm, which must be positive with it",
    )
    for label, numbers in (("class weight", adversary.class_weights), ("prior", adversary.prior)):
        require(not numbers or len(numbers) == len(adversary.classes), f"{where}: one {label} per class, or none")
        require(all(map(positive, numbers)), f"{where}: every {label} must be positive")


def _check_optimizer(where: str, optimizer: Optimizer) -> None:
    known = optimizer.kind in task_pb2.OptimizerKind.values() and optimizer.kind != 0
    require(known, f"{where}: unknown optimizer {optimizer.kind}")
    require(positive(optimizer.learning_rate), f"{where}: learning_rate must be positive")
    if optimizer.kind == task_pb2.OPTIMIZER_KIND_ADAM:
        require(0 <= optimizer.beta1 < 1 and 0 <= optimizer.beta2 < 1, f"{where}: betas must lie in [0, 1)")
        require(positive(optimizer.epsilon), f"{where}: epsilon must be positive")
