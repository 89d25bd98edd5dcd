"""Plans as messages: the schema's `Plan` and the `fedau2.v1.Plan` of a task's manifest, in both directions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.message import Message

from client_sdk.plan import WIDTH
from export.errors import PlanError
from export.plan import defaults, planfile
from export.plan import resolve as resolution
from export.plan.eraser import ErasedEntry, EraserSettings, erased_name
from export.plan.fragments import Fragment
from export.plan.matching import MatchingEntry, matching_name
from export.plan.recommenders import NAME
from export.plan.schema import Entry, Optimizer, Plan
from export.plan.types import NONE
from fedau2.v1 import task_pb2
from fedau2.wire import matchings, plans
from fedau2.wire.errors import ManifestError


def plan_of(model: str, fragment: Fragment | None = None) -> task_pb2.Plan:
    """Returns the message of a plan in which no data is known.

    Args:
        model: the recommender.
        fragment: the differences from its defaults, as in a plan file or by dotted path; without `adversaries` the
            plan has no adversary.

    Raises:
        PlanError: the plan cannot be run with this recommender.
        UnknownModelError: no recommender has this name.
    """
    return to_message(resolution.resolve(planfile.complete({"adversaries": NONE, **(fragment or {})}, model), {}))


def to_message(plan: Plan) -> task_pb2.Plan:
    """Turns a resolved plan into its message.

    Raises:
        PlanError: the plan is not resolved, or cannot be run with its recommender.
    """
    message = task_pb2.Plan(
        local=task_pb2.LocalUpdate(**plan.local.model_dump()),
        server=task_pb2.ServerStep(
            shared=_optimizer(plan.server.shared),
            adversary=_optimizer(plan.server.adversary),
            clip_norm=plan.server.clip_norm,
            clip_medians=plan.server.clip_medians,
            buffered=_buffered(plan),
            passes=plan.server.passes,
        ),
        minimum_separation=plan.minimum_separation,
        parameters=plan.model.parameters(),
        interactions=interaction_weights(plan),
    )
    for entry in _entries(plan):
        message.adversaries.append(_adversary(plan, entry))
    for matching in _matchings(plan):
        message.matchings.append(_matching(plan, matching))
    if erased := _erased(plan):
        message.eraser.CopyFrom(_eraser(plan, erased))
    names = set(resolution.states(plan.model).names) if matchings.labelled(message) else set()
    try:
        plans.check_plan(message, names)
    except ManifestError as error:
        raise PlanError(str(error)) from error
    return message


def interaction_weights(plan: Plan) -> task_pb2.InteractionWeights | None:
    """Turns the weights of interactions into their message; None: all are the defaults."""
    weights = plan.interactions.model_dump()
    usual = defaults.fragment(plan.model.name)["interactions"]
    return None if weights == usual else task_pb2.InteractionWeights(**weights)


def _buffered(plan: Plan) -> task_pb2.BufferedRounds | None:
    server = plan.server
    if not server.most_stale:
        return None
    return task_pb2.BufferedRounds(staleness_exponent=server.staleness_exponent, most_stale=server.most_stale)


def _entries(plan: Plan) -> Sequence[Entry]:
    if plan.adversaries is None:
        raise PlanError("adversaries: all is not resolved: it needs data")
    return plan.adversaries


def _adversary(plan: Plan, entry: Entry) -> task_pb2.Adversary:
    full = plan.settings(entry)
    unresolved = full.class_weights == "balanced" or (full.objective == "confusion" and full.prior == "shares")
    if entry.classes is None or isinstance(full.protects, str) or unresolved:
        raise PlanError(f"the adversary of {entry.attribute} is not resolved: it needs data")
    return task_pb2.Adversary(
        name=entry.name or entry.attribute,
        attribute=entry.attribute,
        classes=entry.classes,
        protects=full.protects,
        head=task_pb2.Head.Value(f"HEAD_{full.head.upper()}"),
        trigger=task_pb2.Trigger.Value(f"TRIGGER_{full.trigger.upper()}"),
        variance=full.variance,
        epsilon=full.epsilon,
        pretrain_rounds=full.pretrain_rounds,
        class_weights=_numbers(full.class_weights),
        objective=task_pb2.Objective.Value(f"OBJECTIVE_{full.objective.upper()}"),
        prior=_numbers(full.prior),
        clip_norm=full.clip_norm,
        noise_multiplier=full.noise_multiplier,
        width=0 if full.width == WIDTH else full.width,  # bundles with the usual width are what they always were
        restart_every=full.restart_every,
    )


def _matchings(plan: Plan) -> Sequence[MatchingEntry]:
    if plan.matchings is None:
        raise PlanError("matchings: all is not resolved: it needs data")
    return plan.matchings


def _matching(plan: Plan, entry: MatchingEntry) -> task_pb2.Matching:
    if entry.classes is None or entry.protects is None or isinstance(entry.protects, str):
        raise PlanError(f"the matching of {entry.attribute} is not resolved: it needs data")
    return task_pb2.Matching(
        name=entry.name or matching_name(entry.attribute),
        attribute=entry.attribute,
        classes=entry.classes,
        protects=entry.protects,
        **plan.matching.model_dump(exclude={"protects"}),
    )


def _erased(plan: Plan) -> Sequence[ErasedEntry]:
    if plan.erased is None:
        raise PlanError("erased: all is not resolved: it needs data")
    return plan.erased


def _eraser(plan: Plan, erased: Sequence[ErasedEntry]) -> task_pb2.Eraser:
    parts = []
    for entry in erased:
        if entry.classes is None:
            raise PlanError(f"the erased attribute {entry.attribute} is not resolved: it needs data")
        name = entry.name or erased_name(entry.attribute)
        parts.append(task_pb2.Erased(name=name, attribute=entry.attribute, classes=entry.classes))
    return task_pb2.Eraser(erased=parts, protects=resolution.states(plan.model).names, **plan.eraser.model_dump())


def _numbers(value: str | tuple[float, ...]) -> tuple[float, ...]:
    """Returns the message's form: none, uniform, and the shares that no objective uses are an empty list."""
    return () if isinstance(value, str) else value


def _optimizer(optimizer: Optimizer) -> task_pb2.Optimizer:
    kind = task_pb2.OptimizerKind.Value(f"OPTIMIZER_KIND_{optimizer.kind.upper()}")
    fields = optimizer.model_dump(exclude={"kind", "noise_corrected"} if optimizer.noise_corrected else {"kind"})
    return task_pb2.Optimizer(kind=kind, **fields)


def to_document(model: str, message: task_pb2.Plan) -> dict[str, Any]:
    """Returns a message as a plan file holds it, without the recommender's widths, which the message does not have.

    Args:
        model: the recommender.
        message: of a manifest that has been checked.
    """
    parameters = {name: int(value) if value.is_integer() else value for name, value in message.parameters.items()}
    document: dict[str, Any] = {
        "model": {NAME: model, **parameters},
        "local": _fields(message.local),
        "adversaries": [_entry(adversary) for adversary in message.adversaries] or NONE,
        **_matching_sections(message.matchings),
        **_eraser_sections(message),
        "server": {
            name: _fields(optimizer)
            for name, optimizer in (("shared", message.server.shared), ("adversary", message.server.adversary))
            if optimizer.kind
        },
    }
    for name in ("clip_norm", "clip_medians"):
        document["server"][name] = _shortest(getattr(message.server, name))
    if message.server.HasField("buffered"):
        document["server"] |= _fields(message.server.buffered)
    document["server"]["passes"] = message.server.passes
    if message.HasField("interactions"):
        document["interactions"] = _fields(message.interactions)
    return document | {"minimum_separation": message.minimum_separation}


def _entry(adversary: task_pb2.Adversary) -> dict[str, Any]:
    fields = _fields(adversary)
    unused = "uniform" if fields["objective"] == "confusion" else "shares"
    return fields | {
        "class_weights": fields["class_weights"] or "none",
        "prior": fields["prior"] or unused,
        "width": fields["width"] or WIDTH,
    }


def _matching_sections(matchings: Sequence[task_pb2.Matching]) -> dict[str, Any]:
    """Returns the sections `matching` and `matchings`; a plan gives all of its matchings the same numbers."""
    if not matchings:
        return {"matchings": NONE}
    entries = [_fields(matching) for matching in matchings]
    names = ("name", "attribute", "classes", "protects")
    common = {name: value for name, value in entries[0].items() if name not in names}
    return {"matching": common, "matchings": [{name: entry[name] for name in names} for entry in entries]}


def _eraser_sections(message: task_pb2.Plan) -> dict[str, Any]:
    """Returns the sections `eraser` and `erased`."""
    if not message.HasField("eraser"):
        return {"erased": NONE}
    numbers = {name: _shortest(getattr(message.eraser, name)) for name in EraserSettings.model_fields}
    return {"eraser": numbers, "erased": [_fields(part) for part in message.eraser.erased]}


def _fields(message: Message) -> dict[str, Any]:
    """Returns the fields of a message but absent ones: enums by short names, float32 by their shortest decimals."""
    values: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        if field.enum_type is not None:
            prefix = field.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
            values[field.name] = field.enum_type.values_by_number[value].name.removeprefix(prefix).lower()
        elif field.is_repeated:
            values[field.name] = [_shortest(item) for item in value]
        else:
            values[field.name] = _shortest(value)
    return values


def _shortest(value: Any) -> Any:  # noqa: ANN401
    return float(str(np.float32(value))) if isinstance(value, float) else value
