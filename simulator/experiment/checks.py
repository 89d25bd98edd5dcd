"""Checks a configuration against its data and its disk, before anything is written or trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from client_sdk.kernel import contract
from client_sdk.kernel.models import RECOMMENDERS
from export.plan.eraser import ErasedEntry
from export.plan.recommenders import Model
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import manifest, matchings
from simulator import gpu
from simulator.config.config import Config
from simulator.datasets import Attribute, Dataset
from simulator.errors import ConfigError
from simulator.experiment import assembly, buffered, own_names, resume
from simulator.population import columns
from simulator.unlearning import erasure, moments
from simulator.unlearning.baselines import Apm, Noise, encoder


def check(config: Config, dataset: Dataset) -> None:
    """Checks everything that can be known without making the task's bundle.

    Args:
        config: the configuration.
        dataset: the data set that it names, cut as it says.

    Raises:
        ConfigError: the configuration does not fit the data set or this machine, or its model cannot do what it says.
        OneClassError, TooFewUsersError: see `assembly.attackable`.
        ErasureError: the attributes cannot be erased from the model.
        PluginError: see `own_names.expect_free`.
    """
    own_names.expect_free(config)
    gpu.device(config.engine.device)
    attributes = assembly.attackable(config.data.attributes, dataset)
    known = assembly.known(attributes, config.data.unknown, config.engine.seed)
    assembly.plan_of(config.plan, known)
    buffered.expect(config.engine, config.plan, assembly.cohort_size(config.engine, len(dataset.users)))
    task, after = _task(config.plan.model, dataset), config.after_training
    if after.erasure != "none":
        erasure.expect_erasable(task, moments.joint(known.values()), after.erasure)
    if config.plan.erased != ():
        _expect_enough(config.plan.erased, task, known)
    if after.erase_every and config.engine.name != "batched" and manifest.private(task):
        raise ConfigError(
            "after_training.erase_every moves private state while training goes on, and only the batched engine does "
            "that: set engine.name to batched"
        )
    if config.engine.apm:
        Apm(config.engine, config.plan, task, known, Noise(config.engine.seed))
    if not manifest.private(task):
        if after.noise:
            encoder(task)
        if config.evaluation.personal_steps:
            raise ConfigError(
                f"evaluation.personal_steps: {task.model} has no private tensors for them to train: leave it at 0"
            )


def _expect_enough(erased: Sequence[ErasedEntry] | None, task: TaskManifest, known: Mapping[str, Attribute]) -> None:
    """Checks that more users tell all erased attributes than a plan's eraser has numbers to erase from."""
    names = known if erased is None else [entry.attribute for entry in erased]
    told = np.all([known[name].labels >= 0 for name in names], axis=0)
    width = sum(contract.states(RECOMMENDERS[task.model].model, task.tensors).values())
    if width <= matchings.MAX_WIDTH:  # wider ones are refused with the plan
        moments.expect_enough(int(told.sum()), width)


def expect_room(model: Model, dataset: Dataset, folder: Path) -> None:
    """Checks the disk for a run that is to begin or to go on in a folder, which need not be there.

    Raises:
        DiskSpaceError: there is not enough for private state.
    """
    private, clients = manifest.private(_task(model, dataset)), len(dataset.users)
    if columns.is_large(private, clients) and not resume.unfinished(folder):
        columns.expect_room(folder, private, clients)


def _task(model: Model, dataset: Dataset) -> TaskManifest:
    """Returns a manifest with the model and its tensors, without a plan and contents."""
    items = len(dataset.items)
    tensors = RECOMMENDERS[model.name].model.tensors(items, model.widths())
    return TaskManifest(model=model.name, items=items, tensors=tensors)
