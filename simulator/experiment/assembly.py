"""Makes what a run needs of the sections of its configuration: data, plan, population, engine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.bundle import Bundle
from export.errors import ExportError
from export.plan.message import to_message
from export.plan.resolve import Known, resolve
from export.plan.schema import Plan
from fedau2.wire import blobs, encodings, manifest
from simulator import gpu
from simulator.config.sections import EngineSettings
from simulator.datasets import Attribute, Dataset
from simulator.engines.batched import BatchedEngine
from simulator.engines.engine import RoundEngine, require_any_cohort
from simulator.engines.executors import processes, ray_actors
from simulator.engines.executors.contract import Start
from simulator.engines.executors.threads import Threads
from simulator.errors import ConfigError, OneClassError, TooFewUsersError
from simulator.evaluation.attacked_users import expect_enough
from simulator.experiment import resources, resume, turns
from simulator.population import columns, public_randomness
from simulator.population.columns import MappedState, State
from simulator.population.population import ClientKeys, Members, Population
from simulator.unlearning.baselines import Noise
from simulator.unlearning.renewal import Renewal

Attributes = Mapping[str, Attribute]
"""Attributes by name; the first is the one whose metrics have no prefix."""


def attribute_of(dataset: Dataset, name: str) -> Attribute:
    """Returns an attribute that is to be unlearned.

    Raises:
        ConfigError: the data set has no such attribute.
        OneClassError: its users are all of one class.
    """
    attribute = dataset.attribute(name)
    present = np.unique(attribute.labels[attribute.labels >= 0])
    if len(present) < 2:
        classes = ", ".join(attribute.classes[label] for label in present) or "none known"
        raise OneClassError(f"{dataset.name}: {name} has only one class ({classes}); there is nothing to unlearn")
    return attribute


def attackable(names: Sequence[str], dataset: Dataset) -> Attributes:
    """Returns the attributes to unlearn and to attack, by name in the given order.

    Raises:
        ConfigError: the data set lacks one.
        OneClassError: all users are of one class of one.
        TooFewUsersError: a class has too few users.
    """
    attributes = {name: attribute_of(dataset, name) for name in names}
    for name, attribute in attributes.items():
        try:
            expect_enough(attribute.labels, attribute.classes)
        except TooFewUsersError as error:
            raise TooFewUsersError(
                f"{dataset.name}, {name}: {error}: is a class misspelt? Else choose another attribute or data set"
            ) from error
    return attributes


def prefixed(attributes: Attributes) -> Iterator[tuple[str, str, Attribute]]:
    """Yields (prefix of metric names, name, attribute); the first attribute has no prefix."""
    for number, (name, attribute) in enumerate(attributes.items()):
        yield f"{name}/" if number else "", name, attribute


def known(attributes: Attributes, unknown: float, seed: int) -> dict[str, Attribute]:
    """Returns the attributes without the labels of clients whose attributes are unknown.

    Args:
        attributes: by name.
        unknown: share of the clients, drawn for each attribute alike.
        seed: of the run.

    Raises:
        ConfigError: no client of some class is left.
    """
    return {name: _known(name, attribute, unknown, seed) for name, attribute in attributes.items()}


def _known(name: str, attribute: Attribute, unknown: float, seed: int) -> Attribute:
    labels = attribute.labels.copy()
    clients = len(labels)
    labels[public_randomness.generator("unknown", seed).permutation(clients)[: round(unknown * clients)]] = -1
    if lost := set(attribute.labels.tolist()) - set(labels.tolist()):
        missing = ", ".join(attribute.classes[label] for label in sorted(lost))
        raise ConfigError(f"with unknown {unknown} no client's {name} is known to be {missing}: make it smaller")
    return Attribute(attribute.classes, labels)


def plan_of(plan: Plan, attributes: Attributes) -> Plan:
    """Resolves a run's plan with its data: the adversaries' classes, states, weights and priors.

    Raises:
        ConfigError: the plan contradicts the data, or cannot be run.
    """
    data = {
        name: Known(attribute.classes, tuple(attribute.counts().tolist())) for name, attribute in attributes.items()
    }
    try:
        resolved = resolve(plan, data)
        require_any_cohort(to_message(resolved))
    except ExportError as error:
        raise ConfigError(str(error)) from error
    return resolved


def population_of(
    bundle: Bundle,
    seed: int,
    interactions: Sequence[NDArray[np.int64]],
    attributes: Attributes,
    folder: Path | None = None,
    weights: Sequence[NDArray[np.float32]] | None = None,
    state: State | None = None,
    *,
    lazily: bool = False,
) -> Population:
    """Makes the clients, with what they train on and their attributes.

    Args:
        bundle: the task.
        seed: of the run.
        interactions: catalogue rows of each client.
        attributes: by name, as far as they are known.
        folder: where large private state is mapped to files; None: it is kept in memory.
        weights: of the interactions, by the plan; None: the plan has no weights.
        state: private state that is there already; None: it is drawn.
        lazily: True to draw what is mapped to files where it is needed, as not all of it will be read.

    Raises:
        DiskSpaceError: there is not enough disk for them.
    """
    values = {
        name: [None if label < 0 else attribute.classes[label] for label in attribute.labels]
        for name, attribute in attributes.items()
    }
    create = partial(Population.create, bundle.manifest, seed, interactions, values, weights=weights)
    specs = manifest.private(bundle.manifest)
    if state is not None:
        return create(state=state)
    if folder is None or not columns.is_large(specs, len(interactions)):
        return create()
    keys = ClientKeys(seed, len(interactions))
    if left := resume.mapped(folder, specs, keys):
        return create(state=left)
    resume.discard(folder)
    mapped = MappedState.create(folder, specs, keys, reserve=not lazily)
    if not lazily:
        mapped.write_all()
    return create(state=mapped)


def cohort_size(settings: EngineSettings, clients: int) -> int:
    """Returns the clients of a round: as many as `cohort` says, or the fraction, rounded down, at least one.

    Raises:
        ConfigError: there are fewer clients.
    """
    if settings.cohort > clients:
        raise ConfigError(
            f"engine.cohort is {settings.cohort:,}, and there are {clients:,} users: a round has each of them at most "
            "once"
        )
    size, early = settings.cohort or max(1, int(settings.fraction * clients)), clients - len(late(settings, clients))
    if size > early:
        raise ConfigError(
            f"a cohort has {size:,} clients, and with engine.late {settings.late} there are only {early:,} in the "
            "first half of the rounds: change one"
        )
    return size


def cohort(settings: EngineSettings, round_number: int, clients: int) -> Members:
    """Draws a round's cohort without replacement from the public randomness of the run seed."""
    size = cohort_size(settings, clients)
    if turns.taken(settings):
        return turns.cohort(settings.seed, round_number, clients, size)
    rng = public_randomness.generator("cohorts", settings.seed, round_number)
    if settings.late and round_number < settings.rounds // 2:
        return rng.choice(np.setdiff1d(np.arange(clients), late(settings, clients)), size, replace=False)
    return rng.choice(clients, size, replace=False)


def late(settings: EngineSettings, clients: int) -> Members:
    """Returns the clients that join after half of the rounds, in order; they are drawn from the run seed."""
    drawn = public_randomness.generator("late", settings.seed).permutation(clients)
    return np.sort(drawn[: round(settings.late * clients)])


@contextmanager
def engine_of(
    settings: EngineSettings,
    bundle: Bundle,
    population: Population,
    folder: Path,
    noise: Noise | None = None,
    audit: Path | None = None,
    renewal: Renewal | None = None,
) -> Iterator[RoundEngine]:
    """Opens the engine that a configuration names; meanwhile a fleet's coordinator keeps its state under `folder`.

    With `audit` the coordinator keeps every contribution there.
    """
    if settings.name == "batched":
        checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
        encoding = encodings.NAMES[settings.checkpoints]
        given = bundle.manifest, checkpoint, population, settings.workers, noise, encoding, settings.kernel
        start, device = _executor_of(settings), gpu.device(settings.device)
        with closing(BatchedEngine(*given, start=start, renewal=renewal, device=device)) as engine:
            yield engine
        return
    from simulator.experiment import fleets  # here, because a coordinator takes a while to load

    size = cohort_size(settings, len(population))
    with fleets.opened(settings, bundle, population, size, folder, audit) as fleet:
        yield fleet


def _executor_of(settings: EngineSettings) -> Start:
    if settings.executor == "processes":
        return partial(processes.start, prepare=resources.prepare)
    if settings.executor == "ray":
        return partial(ray_actors.start, address="" if settings.address == "local" else settings.address)
    return Threads
