"""Loads the data set of a run: by the name that its configuration gives, or as the object that a caller gives."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from client_sdk.weights import Weights
from export.plan.message import interaction_weights
from export.plan.schema import Plan
from fedau2.v1.task_pb2 import Plan as Message
from simulator.config.sections import DataSettings
from simulator.datasets import Dataset, cuts, load
from simulator.datasets.load import expect_unused
from simulator.datasets.split import least
from simulator.errors import ConfigError, DatasetError


def dataset_of(data: DataSettings, seed: int, source: Path | Dataset | None) -> Dataset:
    """Loads the data set that a configuration names, cut as it says.

    Args:
        data: the settings.
        seed: of the run, from which the synthetic data set is drawn.
        source: the folder of the data set, as in `datasets.load`, or the data set itself.

    Raises:
        ConfigError: the data set is not the one of the settings; otherwise as `datasets.load`.
        DatasetError: see `datasets.load`.
    """
    first = data.attributes[0]
    classes = (first if data.balance else None, (first, data.minority) if data.minority else None)
    if isinstance(source, Dataset):
        if source.name != data.dataset:
            raise ConfigError(
                f"data.dataset is {data.dataset}, and the data set is called {source.name}: name that one"
            )
        expect_unused(source.name, data)
        return cuts.cut(source, data.user_core, data.item_core, *classes)
    balance, minority = classes
    return load(
        data.dataset,
        source,
        users=data.users,
        items=data.items,
        dependence=data.dependence,
        seed=seed,
        user_core=data.user_core,
        item_core=data.item_core,
        balance=balance,
        minority=minority,
        settings=data,
    )


def with_positives(dataset: Dataset, plan: Plan, split: str) -> Dataset:
    """Leaves out the users who have too few positives by the weights of a plan, and says so in a note.

    Args:
        dataset: the data set.
        plan: it need not be resolved.
        split: the kind of split.

    Raises:
        DatasetError: no user is left.
    """
    weights = Weights.of(Message(interactions=interaction_weights(plan)))
    if weights is None:
        return dataset
    enough = np.array([len(user.positives) >= least(split) for user in dataset.weighted(weights)])
    if not enough.any():
        raise DatasetError(
            f"{dataset.name}: by the plan's weights of interactions, no user has {least(split)} positives: lower "
            "interactions.lowest_rating, or weigh more kinds"
        )
    if enough.all():
        return dataset
    note = f"{int((~enough).sum()):,} users with fewer than {least(split)} positives by the plan are left out"
    kept = dataset.select(enough, np.ones(len(dataset.items), np.bool_))
    return replace(kept, notes=(*kept.notes, note))
