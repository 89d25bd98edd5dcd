"""Plans: the paper's values, changed by keyword arguments or by a YAML file.

A plan file is a mapping, each key of which may be left out. `model` holds the recommender's widths and its own
parameters; `local`, `adversaries`, `server` and `minimum_separation` are the fields of the message `fedau2.v1.Plan`
under their own names.
The value of an enum is its short name in lower case (`head: dsvae`) or its full one. What is absent has the paper's
value.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from client_sdk.kernel import contract, fedrap_parameters, fedvae_parameters
from client_sdk.kernel.models import RECOMMENDERS, Declared
from export.errors import PlanError, UnknownModelError
from fedau2.v1 import task_pb2
from fedau2.v1.task_pb2 import OPTIMIZER_KIND_ADAM, Adversary, LocalUpdate, Optimizer, Plan, ServerStep
from fedau2.wire import manifest
from fedau2.wire.errors import ManifestError

_KEYS = ("model", "local", "adversaries", "server", "minimum_separation")

PAPER: dict[str, dict[str, Any]] = {
    "fedrap": {
        "protects": (fedrap_parameters.SUM,),
        "chunk": 1_000_000,  # the loss is the mean over all samples of a client
        # The paper does not give these two.
        "private_learning_rate": 0.001,
        "server_learning_rate": 0.01,
    },
    "fedvae": {
        "protects": (fedvae_parameters.LATENT,),
        "adversary_learning_rate": 0.01,
    },
}
"""What the paper's plan of each recommender has other than that of FedNCF, whose values are `make_plan`'s defaults."""


def make_plan(
    *,
    attribute: str | None,
    classes: Sequence[str] = (),
    protects: Sequence[str] = ("user_gmf",),
    head: str = "dsvae",
    trigger: str = "sut",
    variance: float = 4.0,
    epsilon: float = 400.0,
    pretrain_rounds: int = 0,
    class_weights: Sequence[float] = (),
    steps: int = 1,
    negatives: int = 4,
    chunk: int = 128,
    parameters: Mapping[str, float] = MappingProxyType({}),
    private_learning_rate: float = 0.1,
    shared_learning_rate: float = 0.0,
    server_learning_rate: float = 0.001,
    adversary_learning_rate: float = 0.1,
    minimum_separation: int = 1,
    clip_norm: float = 0.0,
    objective: str = "reversal",
    prior: Sequence[float] = (),
    apart: bool = False,
    adversary_clip_norm: float = 0.0,
    adversary_noise: float = 0.0,
    cover_rows: float = 0.0,
) -> Plan:
    """A plan with one attribute to unlearn or none; the defaults are the paper's FedAU2 for FedNCF.

    Args:
        attribute: what to unlearn, which is also the adversary's name; None trains without one.
        classes: the attribute's values in label order.
        protects: names of the states that the adversary sees.
        head: `mlp`, `vae`, `dsvae` or `scalar`.
        trigger: `off`, `global`, `pretrain` or `sut`.
        variance: lambda of the heads dsvae and scalar.
        epsilon: scale of what is added to the protected state's gradient.
        pretrain_rounds: first round in which `pretrain` fires.
        class_weights: of the adversary's cross-entropy; empty: all 1.
        steps: local steps.
        negatives: drawn for each positive.
        chunk: samples over which the recommendation loss is a mean.
        parameters: all of the recommender's own, by name.
        private_learning_rate: of the device's Adam.
        shared_learning_rate: of the local SGD; needed where `steps` > 1.
        server_learning_rate: of the server's Adam on the recommender.
        adversary_learning_rate: of the server's Adam on the adversary.
        minimum_separation: rounds from one contribution of a device to its next, at least; 1: once a round.
        clip_norm: L2 norm to which longer contributions are scaled down; 0: never.
        objective: `reversal` (the paper's) or `confusion`.
        prior: the classes' shares, for `confusion`; empty: all alike.
        adversary_clip_norm: L2 norm to which devices scale a longer contribution to an adversary down; 0: never.
        adversary_noise: standard deviation of the noise that devices add to it, in units of `adversary_clip_norm`.
        cover_rows: rows of other items that devices add to tables, for each row of their own.
        apart: an adversary for each of `protects`, named "<attribute>-<tensor>", instead of one for all together.

    Raises:
        ValueError: no such head, trigger or objective.
    """
    plan = Plan(
        local=LocalUpdate(
            steps=steps,
            negatives=negatives,
            chunk=chunk,
            private_learning_rate=private_learning_rate,
            shared_learning_rate=shared_learning_rate,
            cover_rows=cover_rows,
        ),
        server=ServerStep(
            shared=_adam(server_learning_rate), adversary=_adam(adversary_learning_rate), clip_norm=clip_norm
        ),
        minimum_separation=minimum_separation,
        parameters=parameters,
    )
    if attribute is None:
        return plan
    each = {f"{attribute}-{tensor}": [tensor] for tensor in protects} if apart else {attribute: protects}
    for name, tensors in each.items():
        plan.adversaries.add(
            name=name,
            attribute=attribute,
            classes=classes,
            protects=tensors,
            head=task_pb2.Head.Value(f"HEAD_{head.upper()}"),
            trigger=task_pb2.Trigger.Value(f"TRIGGER_{trigger.upper()}"),
            variance=variance,
            epsilon=epsilon,
            pretrain_rounds=pretrain_rounds,
            class_weights=class_weights,
            objective=task_pb2.Objective.Value(f"OBJECTIVE_{objective.upper()}"),
            prior=prior,
            clip_norm=adversary_clip_norm,
            noise_multiplier=adversary_noise,
        )
    return plan


def _adam(learning_rate: float) -> Optimizer:
    return Optimizer(kind=OPTIMIZER_KIND_ADAM, learning_rate=learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8)


def paper_plan(model: str, parameters: Mapping[str, float] = MappingProxyType({}), **changes: Any) -> Plan:  # noqa: ANN401
    """The paper's plan for a recommender; a plan without an adversary if no `attribute` is given.

    Args:
        model: name of the recommender; without an entry in `PAPER` it has FedNCF's values and protects its first state.
        parameters: those of the recommender's own parameters that differ from its defaults.
        changes: further arguments of `make_plan`.
    """
    recommender = RECOMMENDERS[model].model
    first = contract.embedding(recommender, recommender.tensors(1))
    every = {**RECOMMENDERS[model].defaults(), **parameters}
    return make_plan(
        **{"attribute": None, "protects": (first,), **PAPER.get(model, {}), **changes, "parameters": every}
    )


@dataclass(frozen=True, eq=False)
class PlanFile:
    """What a plan file says.

    Attributes:
        plan: checked against the recommender's states.
        widths: the recommender's own `Widths`.
    """

    plan: Plan
    widths: Any


def read(path: Path, model: str) -> PlanFile:
    """Reads a plan file for a recommender.

    Raises:
        PlanError: it names the file, the key, and what would be right.
        UnknownModelError: no such recommender.
    """
    if model not in RECOMMENDERS:
        raise UnknownModelError(f"no recommender is called {model!r}; there is {', '.join(RECOMMENDERS)}")
    document = _document(path)
    widths, parameters = _model(RECOMMENDERS[model], document.get("model", {}), f"{path}: model")
    plan = _plan(document, path, model, parameters)
    recommender = RECOMMENDERS[model].model
    states = set(contract.states(recommender, recommender.tensors(1, widths)))
    try:
        manifest.check_plan(plan, states)
    except ManifestError as error:
        raise PlanError(f"{path}: {error}; {model} has {', '.join(sorted(states))}") from error
    return PlanFile(plan, widths)


def _document(path: Path) -> Mapping[str, object]:
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: the plan file cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise PlanError(f"{path}: not YAML: {error}") from error
    return _mapping({} if document is None else document, _KEYS, str(path))


def _mapping(value: object, keys: Sequence[str], where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise PlanError(f"{where}: expected a mapping with the keys {', '.join(keys)}, not {value!r}")
    if unknown := [key for key in value if key not in keys]:
        raise PlanError(f"{where}: there is no key {unknown[0]!r}; the keys are {', '.join(keys)}")
    return value


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise PlanError(f"{where}: expected a list, not {value!r}")
    return value


def _model(declared: Declared, value: object, where: str) -> tuple[object, dict[str, float]]:
    """The recommender's `Widths`, and its parameters by name."""
    defaults = {field.name: field.default for field in dataclasses.fields(declared.Widths)}
    parameters = declared.defaults()
    given = _mapping(value, [*defaults, *parameters], where)
    parameters |= {key: _number(given[key], f"{where}.{key}") for key in given.keys() & parameters.keys()}
    try:
        declared.parameters(parameters)
        widths = _widths(defaults, {key: given[key] for key in given.keys() & defaults.keys()}, where)
        return declared.Widths(**widths), parameters
    except ValueError as error:
        raise PlanError(f"{where}: {error}") from error


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PlanError(f"{where}: expected a number, not {value!r}")
    return value


def _widths(defaults: Mapping[str, object], widths: dict[str, object], where: str) -> dict[str, object]:
    for key, given in widths.items():
        several = isinstance(defaults[key], tuple)
        numbers = _list(given, f"{where}.{key}") if several else [given]
        if not numbers or not all(type(number) is int and number >= 1 for number in numbers):
            expected = "a list of whole numbers, each" if several else "a whole number,"
            raise PlanError(f"{where}.{key}: expected {expected} at least 1, not {given!r}")
        widths[key] = tuple(numbers) if several else given
    return widths


def _plan(document: Mapping[str, object], path: Path, model: str, parameters: Mapping[str, float]) -> Plan:
    plan = paper_plan(model, parameters, attribute="")
    paper: Adversary = plan.adversaries.pop()
    _fill(plan.local, document.get("local", {}), f"{path}: local")
    for number, entry in enumerate(_list(document.get("adversaries", []), f"{path}: adversaries")):
        adversary = plan.adversaries.add()
        adversary.CopyFrom(paper)
        _fill(adversary, entry, f"{path}: adversaries[{number}]")
        adversary.name = adversary.name or adversary.attribute
    _fill(plan.server, document.get("server", {}), f"{path}: server")
    if "minimum_separation" in document:
        _assign(plan, "minimum_separation", document["minimum_separation"], f"{path}: minimum_separation")
    return plan


def _fill(message: Message, values: object, where: str) -> None:
    fields = message.DESCRIPTOR.fields_by_name
    for key, value in _mapping(values, list(fields), where).items():
        field, place = fields[key], f"{where}.{key}"
        if field.message_type:
            _fill(getattr(message, key), value, place)
        elif field.enum_type:
            setattr(message, key, _choice(message, key, value, place))
        else:
            _assign(message, key, value, place)


def _choice(message: Message, key: str, value: object, where: str) -> int:
    enum = message.DESCRIPTOR.fields_by_name[key].enum_type
    assert enum is not None
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    choices = {each.name.removeprefix(prefix).lower(): each.number for each in enum.values if each.number}
    # YAML 1.1 reads a bare `off` as false.
    name = "off" if value is False else str(value).lower().removeprefix(prefix.lower())
    if name not in choices:
        raise PlanError(f"{where}: {value!r} is none of {', '.join(choices)}")
    return choices[name]


_EXPECTED = {
    FieldDescriptor.CPPTYPE_UINT32: "a whole number, at least 0",
    FieldDescriptor.CPPTYPE_UINT64: "a whole number, at least 0",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_STRING: "text (put it in quotes)",
}


def _assign(message: Message, key: str, value: object, where: str) -> None:
    field = message.DESCRIPTOR.fields_by_name[key]
    message.ClearField(key)  # a list replaces the paper's instead of being added to it
    try:
        json_format.ParseDict({key: value}, message)
    except json_format.ParseError as error:
        expected = f"a list, each {_EXPECTED[field.cpp_type]}" if field.is_repeated else _EXPECTED[field.cpp_type]
        raise PlanError(f"{where}: expected {expected}, not {value!r}") from error
