"""From a configuration to everything that a run needs: data, split, bundle, population, engine."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client_sdk import engines
from client_sdk.kernel import contract
from client_sdk.kernel.models import RECOMMENDERS
from export.bundle import Bundle, build
from export.plan.planfile import paper_plan
from fedau2.v1.task_pb2 import Plan
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_PRIVATE
from fedau2.wire import blobs, manifest
from simulator.config.config import Config
from simulator.datasets import Attribute, Dataset, load
from simulator.engines.batched import BatchedEngine
from simulator.engines.connections import GrpcConnection, InProcessConnection
from simulator.engines.coordinator_process import CoordinatorProcess
from simulator.engines.engine import RoundEngine
from simulator.engines.fleet import FleetEngine
from simulator.errors import ConfigError, OneClassError, TooFewUsersError
from simulator.evaluation.attackers import expect_enough
from simulator.experiment import resume
from simulator.population import columns, public_randomness
from simulator.population.columns import MappedState
from simulator.population.population import Members, Population
from simulator.unlearning.baselines import Noise


def dataset_of(config: Config, data_dir: Path | None) -> Dataset:
    """The data set that a configuration names, cut as it says; `data_dir` as in `datasets.load`."""
    return load(
        config.dataset,
        data_dir,
        users=config.users,
        items=config.items,
        dependence=config.dependence,
        seed=config.seed,
        user_core=config.user_core,
        item_core=config.item_core,
        balance=config.attributes[0] if config.balance else None,
        minority=(config.attributes[0], config.minority) if config.minority else None,
    )


def attribute_of(dataset: Dataset, name: str) -> Attribute:
    """The attribute to unlearn.

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


def attributes_of(config: Config, dataset: Dataset) -> dict[str, Attribute]:
    """The attributes to unlearn, by name in the configuration's order.

    Raises:
        ConfigError: the data set lacks one.
        OneClassError: all users are of one class of one.
    """
    return {name: attribute_of(dataset, name) for name in config.attributes}


def attackable(config: Config, dataset: Dataset) -> dict[str, Attribute]:
    """As `attributes_of`, for a run, which attacks them all.

    Raises:
        ConfigError, OneClassError: as there.
        TooFewUsersError: a class has too few users.
    """
    attributes = attributes_of(config, dataset)
    for name, attribute in attributes.items():
        try:
            expect_enough(attribute.labels, attribute.classes)
        except TooFewUsersError as error:
            raise TooFewUsersError(
                f"{dataset.name}, {name}: {error}: is a class misspelt? Else choose another attribute or data set"
            ) from error
    return attributes


def prefixed(attributes: Mapping[str, Attribute]) -> Iterator[tuple[str, str, Attribute]]:
    """Each attribute after what the names of its figures begin with: nothing for the first."""
    for number, (name, attribute) in enumerate(attributes.items()):
        yield f"{name}/" if number else "", name, attribute


def told(config: Config, attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Attributes as far as the clients told them: of the share `config.unknown`, drawn from the run seed, none.

    Raises:
        ConfigError: nobody of some class told it.
    """
    return {name: _told(config, name, attribute) for name, attribute in attributes.items()}


def _told(config: Config, name: str, attribute: Attribute) -> Attribute:
    labels = attribute.labels.copy()
    clients = len(labels)
    labels[
        public_randomness.generator("unknown", config.seed).permutation(clients)[: round(config.unknown * clients)]
    ] = -1
    if lost := set(attribute.labels.tolist()) - set(labels.tolist()):
        missing = ", ".join(attribute.classes[label] for label in sorted(lost))
        raise ConfigError(f"with unknown {config.unknown} nobody told a {name} of {missing}: make it smaller")
    return Attribute(attribute.classes, labels)


def plan_of(config: Config, attributes: Mapping[str, Attribute]) -> Plan:
    """The plan that a configuration describes, with the adversaries of all attributes."""
    plans = [_plan_of(config, name, attribute) for name, attribute in attributes.items()]
    for further in plans[1:]:
        plans[0].adversaries.extend(further.adversaries)
    return plans[0]


def _plan_of(config: Config, name: str, attribute: Attribute) -> Plan:
    counts = attribute.counts()
    return paper_plan(
        config.model,
        attribute=None if config.adversary == "none" else name,
        classes=attribute.classes,
        head=config.adversary,
        trigger=config.trigger,
        epsilon=config.epsilon,
        variance=config.variance,
        pretrain_rounds=config.pretrain_rounds,
        class_weights=(counts.sum() / len(counts) / counts).tolist() if config.class_weights else [],
        objective=config.objective,
        prior=(counts / counts.sum()).tolist() if config.objective == "confusion" else [],
        protects=protected(config),
        apart=config.protect == "each",
        steps=config.local_steps,
        private_learning_rate=config.private_learning_rate,
        shared_learning_rate=config.shared_learning_rate,
        server_learning_rate=config.server_learning_rate,
        adversary_learning_rate=config.adversary_learning_rate,
        clip_norm=config.clip_norm,
        adversary_clip_norm=config.adversary_clip_norm,
        adversary_noise=config.adversary_noise,
        cover_rows=config.cover_rows,
    )


def protected(config: Config) -> list[str]:
    """Names of the states that the configuration protects; of a model without private tensors always its first.

    Raises:
        ConfigError: there is no such model.
    """
    if config.model not in RECOMMENDERS:
        raise ConfigError(f"there is no model {config.model!r}; there is {', '.join(RECOMMENDERS)}")
    recommender = RECOMMENDERS[config.model].model
    tensors = recommender.tensors(1)
    private = [spec.name for spec in tensors if spec.scope == TENSOR_SCOPE_PRIVATE]
    if config.protect == "embedding" or not private:
        return [contract.embedding(recommender, tensors)]
    return private


def bundle_of(config: Config, dataset: Dataset) -> Bundle:
    """The task's bundle."""
    plan = plan_of(config, told(config, attributes_of(config, dataset)))
    return build(config.model, dataset.items, plan, config.seed, training=config.trainer == "onnx")


def population_of(
    config: Config,
    dataset: Dataset,
    bundle: Bundle,
    interactions: Sequence[NDArray[np.int64]],
    folder: Path | None = None,
) -> Population:
    """The clients, with what they train on and their attributes; large private state is mapped to files in `folder`.

    Raises:
        DiskSpaceError: there is not enough disk for them.
    """
    attributes = {
        name: [None if label < 0 else each.classes[label] for label in each.labels]
        for name, each in told(config, attributes_of(config, dataset)).items()
    }
    start = (bundle.manifest, config.seed, interactions, attributes)
    specs = manifest.private(bundle.manifest)
    if folder is None or not columns.is_large(specs, len(interactions)):
        return Population.create(*start)
    if left := resume.mapped(folder, specs, len(interactions)):
        return Population.create(*start, state=left)
    resume.discard(folder)
    population = Population.create(*start, state=MappedState.create(folder, specs, len(interactions)))
    population.draw_initial(bundle.manifest)
    return population


def cohort_size(config: Config, clients: int) -> int:
    """Clients of a round: the fraction, rounded down, at least one."""
    return max(1, int(config.fraction * clients))


def cohort(config: Config, round_number: int, clients: int) -> Members:
    """A round's cohort, drawn without replacement from the public randomness of the run seed."""
    rng = public_randomness.generator("cohorts", config.seed, round_number)
    return rng.choice(clients, cohort_size(config, clients), replace=False)


@contextmanager
def engine_of(
    config: Config,
    bundle: Bundle,
    population: Population,
    folder: Path,
    noise: Noise | None = None,
    audit: Path | None = None,
) -> Iterator[RoundEngine]:
    """The engine that a configuration names; while it is open a fleet's coordinator keeps its state under `folder`.

    With `audit` it keeps every contribution there.
    """
    if config.engine == "batched":
        checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
        yield BatchedEngine(bundle.manifest, checkpoint, population, config.workers, noise)
        return
    size = cohort_size(config, len(population))
    with tempfile.TemporaryDirectory(prefix="coordinator-", dir=folder) as name:
        state = Path(name)
        connect = partial(InProcessConnection.open if config.transport == "inproc" else _start, state, audit)
        trainer = engines.make("onnx" if config.trainer == "onnx" else "torch")
        engine = FleetEngine.start(connect, bundle, population, size, config.rounds, trainer)
        try:
            yield engine
        finally:
            engine.close()


async def _start(state: Path, audit: Path | None) -> GrpcConnection:
    return await CoordinatorProcess(state, audit=audit).connect()
