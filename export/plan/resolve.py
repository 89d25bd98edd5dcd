"""Resolves a plan: names and numbers replace the words that stand for what the data or the recommender decides."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from export.errors import PlanError
from export.plan.eraser import ErasedEntry, erased_name
from export.plan.matching import MatchingEntry, matching_name
from export.plan.recommenders import Model, declared
from export.plan.schema import Adversary, AdversarySettings, Entry, Plan
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_PRIVATE

_Entry = TypeVar("_Entry")


@dataclass(frozen=True)
class Known:
    """An attribute as far as it is known.

    Attributes:
        classes: its values, in label order.
        counts: users of each class.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class States:
    """The states of a recommender that adversaries may protect.

    Attributes:
        names: of all states; the paper's embedding is the first.
        private: those of the private tensors.
    """

    names: tuple[str, ...]
    private: tuple[str, ...]

    def named(self, protects: str | tuple[str, ...]) -> tuple[str, ...]:
        """Returns the states that a plan's `protects` stands for; without private tensors always the embedding."""
        if not isinstance(protects, str):
            return protects
        return self.names[:1] if protects == "embedding" or not self.private else self.private


def states(model: Model) -> States:
    """Returns the states of a recommender. Loads PyTorch."""
    from client_sdk.kernel import contract

    recommender = declared(model.name).model
    tensors = recommender.tensors(1, model.widths())
    private = tuple(spec.name for spec in tensors if spec.scope == TENSOR_SCOPE_PRIVATE)
    return States(tuple(contract.states(recommender, tensors)), private)


def resolve(plan: Plan, known: Mapping[str, Known]) -> Plan:
    """Returns the same plan with explicit entries: names, classes, states, weights and priors.

    Args:
        plan: complete.
        known: the attributes whose classes are known, by name; empty in an export.

    Raises:
        PlanError: the plan needs data that is not there, or contradicts it.
    """
    entries = _listed("adversaries", plan.adversaries, Adversary, known)
    matched = _listed("matchings", plan.matchings, MatchingEntry, known)
    of_model = states(plan.model) if entries or matched else States((), ())
    resolved = [
        adversary
        for number, entry in enumerate(entries)
        for adversary in _resolved(plan, entry, known, of_model, f"adversaries[{number}]")
    ]
    matchings = [
        matching
        for number, entry in enumerate(matched)
        for matching in _resolved_matching(plan, entry, known, of_model, f"matchings[{number}]")
    ]
    erased = [
        _resolved_erased(entry, known, f"erased[{number}]")
        for number, entry in enumerate(_listed("erased", plan.erased, ErasedEntry, known))
    ]
    parts = {"adversaries": tuple(resolved), "matchings": tuple(matchings), "erased": tuple(erased)}
    return plan.model_copy(update=parts)


def _listed(
    setting: str, listed: tuple[_Entry, ...] | None, entry: Callable[..., _Entry], known: Mapping[str, Known]
) -> tuple[_Entry, ...]:
    """Returns the entries of a setting; one for each known attribute where the plan says all."""
    if listed is not None:
        return listed
    if not known:
        raise PlanError(
            f"{setting}: all needs data, and no data is known here: list them with attribute and classes, or write none"
        )
    return tuple(entry(attribute=name) for name in known)


def _resolved_erased(entry: ErasedEntry, known: Mapping[str, Known], where: str) -> ErasedEntry:
    classes = _classes(entry, known.get(entry.attribute), known, where)
    return entry.model_copy(update={"classes": classes, "name": entry.name or erased_name(entry.attribute)})


def _resolved_matching(
    plan: Plan, entry: MatchingEntry, known: Mapping[str, Known], of_model: States, where: str
) -> Iterator[MatchingEntry]:
    classes = _classes(entry, known.get(entry.attribute), known, where)
    name, protects = entry.name or matching_name(entry.attribute), entry.protects or plan.matching.protects
    for part, states_of in _parts(name, protects, of_model).items():
        yield entry.model_copy(update={"classes": classes, "name": part, "protects": states_of})


def _parts(name: str, protects: str | tuple[str, ...], of_model: States) -> dict[str, tuple[str, ...]]:
    """Returns the states of each adversary or matching that an entry stands for, by its name."""
    protected = of_model.named(protects)
    return {f"{name}-{state}": (state,) for state in protected} if protects == "each" else {name: protected}


def _resolved(plan: Plan, entry: Entry, known: Mapping[str, Known], of_model: States, where: str) -> Iterator[Entry]:
    full, data = plan.settings(entry), known.get(entry.attribute)
    name, classes = entry.name or entry.attribute, _classes(entry, data, known, where)
    update: dict[str, Any] = {"classes": classes, "class_weights": _weights(full, data, where)}
    if full.objective == "confusion":
        update["prior"] = _prior(full, data, where)
    for part, protects in _parts(name, full.protects, of_model).items():
        yield entry.model_copy(update={**update, "name": part, "protects": protects})


def _classes(
    entry: Entry | MatchingEntry | ErasedEntry, data: Known | None, known: Mapping[str, Known], where: str
) -> tuple[str, ...]:
    if data is not None:
        if entry.classes not in (None, data.classes):
            classes = ", ".join(data.classes)
            raise PlanError(
                f"{where}.classes: the data has {classes}, in this order: leave them out, or write the same"
            )
        return data.classes
    if known:
        raise PlanError(f"{where}.attribute: the run's data.attributes are {', '.join(known)}, not {entry.attribute!r}")
    if entry.classes is None:
        raise PlanError(f"{where}.classes: they are missing, and no data is known here: list at least two")
    return entry.classes


def _weights(full: AdversarySettings, data: Known | None, where: str) -> str | tuple[float, ...]:
    if full.class_weights != "balanced":
        return full.class_weights
    counts = _counts(data, f"{where}.class_weights: balanced")
    return tuple(sum(counts) / len(counts) / count for count in counts)


def _prior(full: AdversarySettings, data: Known | None, where: str) -> str | tuple[float, ...]:
    if full.prior != "shares":
        return full.prior
    counts = _counts(data, f"{where}.prior: shares")
    return tuple(count / sum(counts) for count in counts)


def _counts(data: Known | None, setting: str) -> tuple[int, ...]:
    if data is None:
        raise PlanError(f"{setting} needs data, and no data is known here: write a number for each class")
    return data.counts
