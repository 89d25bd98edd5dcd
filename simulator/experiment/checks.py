"""What must hold of a configuration, its data and its disk, before anything is written or trained."""

from pathlib import Path

from client_sdk.kernel.models import RECOMMENDERS
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import manifest
from simulator.config.config import Config
from simulator.datasets import Dataset
from simulator.experiment import assembly, resume
from simulator.population import columns
from simulator.unlearning import erasure, moments
from simulator.unlearning.baselines import Apm, Noise, encoder


def check(config: Config, dataset: Dataset) -> None:
    """Checks everything that can be known without making the task's bundle.

    Args:
        config: what is to be run.
        dataset: what it names, cut as it says.

    Raises:
        ConfigError: the configuration does not fit the data set, or asks for what its model cannot do.
        OneClassError, TooFewUsersError: of an attribute.
        ErasureError: the attributes cannot be erased from the model.
    """
    told = assembly.told(config, assembly.attackable(config, dataset))
    assembly.plan_of(config, told)
    task = _task(config, dataset)
    if config.erasure != "none":
        erasure.expect_erasable(task, moments.joint(told.values()), config.erasure)
    if config.apm:
        Apm(config, task, told, Noise(config.seed))
    if config.noise and not manifest.private(task):
        encoder(task)


def expect_room(config: Config, dataset: Dataset, folder: Path) -> None:
    """Checks the disk for a run that is to begin or to go on in a folder, which need not be there.

    Raises:
        DiskSpaceError: there is not enough for private state.
    """
    private, clients = manifest.private(_task(config, dataset)), len(dataset.users)
    if columns.is_large(private, clients) and not resume.unfinished(folder):
        columns.expect_room(folder, private, clients)


def _task(config: Config, dataset: Dataset) -> TaskManifest:
    """The model and its tensors, without a plan and contents."""
    items = len(dataset.items)
    return TaskManifest(model=config.model, items=items, tensors=RECOMMENDERS[config.model].model.tensors(items))
