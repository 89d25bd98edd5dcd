"""The data set `two-towns`, which is made when it is used: two towns, each with a half of the shops of its own."""

from pathlib import Path

import numpy as np

from simulator.config.own_files import OwnFiles
from simulator.datasets import Attribute, Dataset
from simulator.datasets.places import Source

USERS, SHOPS, VISITS, AT_HOME = 160, 220, 14, 0.7


def read(folder: Path, settings: OwnFiles) -> Dataset:
    """Makes the data set. One that is read would find its files in the folder."""
    rng = np.random.default_rng(0)
    town = rng.integers(2, size=USERS)
    near = np.where(town[:, None] == (np.arange(SHOPS) % 2), AT_HOME, 1 - AT_HOME)
    chances = near / near.sum(1, keepdims=True)
    visited = [rng.choice(SHOPS, VISITS, replace=False, p=row) for row in chances]
    return Dataset(
        name="two-towns",
        users=[f"person-{number}" for number in range(USERS)],
        items=[f"shop-{number}" for number in range(SHOPS)],
        user=np.repeat(np.arange(USERS), VISITS),
        item=np.concatenate(visited),
        attributes={"town": Attribute(("north", "south"), town)},
    )


SOURCE = Source(read, files=(), home="made by this plug-in")
