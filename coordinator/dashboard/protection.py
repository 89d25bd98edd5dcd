"""The settings of a task that decide what its devices give away."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fedau2.v1 import task_pb2
from fedau2.v1.admin_pb2 import SecureSumsStatus, Task
from fedau2.v1.task_pb2 import Adversary, Eraser, Matching, TaskManifest
from fedau2.wire.secure import privacy


@dataclass(frozen=True)
class Setting:
    """A line of the page.

    Attributes:
        name: of the setting.
        value: as text.
        on: it protects devices as it is set.
    """

    name: str
    value: str
    on: bool


def settings(task: Task, manifest: TaskManifest) -> list[Setting]:
    """Returns the settings in force, those that are off among them."""
    hidden = manifest.HasField("secure_sums")
    return [
        *_unlearning(manifest),
        *(_sums(manifest, task.secure_sums) if hidden else _plain(task, manifest)),
        _cover_rows(manifest.plan.local.cover_rows),
    ]


def _cover_rows(number: float) -> Setting:
    return Setting("Cover rows", f"{number:g} for each row of a device's own" if number else "none", number > 0)


def _unlearning(manifest: TaskManifest) -> Iterator[Setting]:
    plan = manifest.plan
    for adversary in plan.adversaries:
        yield Setting(f"Protection of {adversary.attribute}", _adversary(adversary), _unlearns(adversary))
        yield Setting(f"Weight against {adversary.name} (epsilon)", f"{adversary.epsilon:g}", adversary.epsilon > 0)
        yield Setting(f"Clip of {adversary.name}", _norm(adversary.clip_norm), adversary.clip_norm > 0)
        if adversary.clip_norm:
            noise = adversary.noise_multiplier
            yield Setting(f"Noise on {adversary.name}", f"{noise:g} times the clip, on each device", noise > 0)
    for matching in plan.matchings:
        yield Setting(f"Protection of {matching.attribute}", _matching(matching), matching.weight > 0)
    for part in plan.eraser.erased:
        yield Setting(f"Protection of {part.attribute}", _erased(plan.eraser), True)
    if not (plan.adversaries or plan.matchings or plan.eraser.erased):
        yield Setting("Protection of attributes", "none: the task unlearns nothing", False)


def _unlearns(adversary: Adversary) -> bool:
    return adversary.epsilon > 0 and adversary.trigger != task_pb2.TRIGGER_OFF


def _adversary(adversary: Adversary) -> str:
    head = _word(task_pb2.Head, adversary.head, "HEAD_")
    if adversary.objective == task_pb2.OBJECTIVE_CONFUSION:
        way = "confusion"
    else:
        way = f"reversal with the trigger {_word(task_pb2.Trigger, adversary.trigger, 'TRIGGER_')}"
    return f"adversary with the head {head}, {way}, of {', '.join(adversary.protects)}"


def _matching(matching: Matching) -> str:
    return f"matching of {', '.join(matching.protects)} with the weight {matching.weight:g}"


def _erased(eraser: Eraser) -> str:
    protects = ", ".join(eraser.protects)
    return f"erased from {protects} by maps that devices apply, with a floor of noise of {eraser.floor:g}"


def _word(kind: Any, value: int, prefix: str) -> str:  # noqa: ANN401 - a class of an enum, of generated code
    return str(kind.Name(value)).removeprefix(prefix).lower()


def _norm(norm: float) -> str:
    return f"L2 norm {norm:g}" if norm else "none"


def _plain(task: Task, manifest: TaskManifest) -> Iterator[Setting]:
    clip, medians = manifest.plan.server.clip_norm, manifest.plan.server.clip_medians
    yield Setting("Secure sums", "off: the coordinator reads each contribution", False)
    running = f", and {medians:g} running medians" if medians else ""
    yield Setting("Clip of a contribution", f"{_norm(clip)}{running}", clip > 0)
    yield Setting("Row threshold", "none: every row is read", False)
    combined = _word(task_pb2.Aggregation, task.closing.aggregation, "AGGREGATION_").replace("_", " ")
    robust = task.closing.aggregation != task_pb2.AGGREGATION_UNSPECIFIED
    yield Setting("Aggregation", combined if robust else "mean", robust)


def _sums(manifest: TaskManifest, status: SecureSumsStatus) -> Iterator[Setting]:
    policy = manifest.secure_sums
    least = max(1, policy.row_threshold)
    clips = ", ".join(f"{grid.tensor} {grid.clip * 2.0**-grid.exponent:.3g}" for grid in policy.grids)
    yield Setting("Secure sums", f"on: a sum of at least {policy.minimum} contributions is opened", True)
    yield Setting("Clip of a contribution", f"L2 norms {clips}", bool(clips))
    yield Setting("Row threshold", f"{least} {'device' if least == 1 else 'devices'}", least > 1)
    noise = policy.noise_multiplier
    yield Setting("Noise on sums", f"{noise:g} times the clip" if noise else "none", noise > 0)
    cap = policy.max_participations
    yield Setting("Contributions of one device", f"at most {cap}" if cap else "any number", cap > 0)
    if noise and cap:
        most = privacy.epsilon(privacy.mu(cap, noise), privacy.SERVED_DELTA)
        budget = f"at most {most:.3g} at delta {privacy.SERVED_DELTA:g}, however many sums are opened"
        yield Setting("Budget of epsilon", budget, True)
    if status.epsilon:
        spent = f"at most {status.epsilon:.3g} at delta {status.delta:g}, of all sums so far"
        yield Setting("Epsilon of differential privacy", spent, True)
