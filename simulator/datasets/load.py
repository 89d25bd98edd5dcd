"""Finds a data set: in a folder that is named, in the cache, or at its home."""

import os
from pathlib import Path

from simulator.datasets import movielens, synthetic
from simulator.datasets.dataset import Dataset
from simulator.datasets.download import cache, fetch
from simulator.errors import ConfigError, DatasetMissingError

NAMES = (movielens.NAME, synthetic.NAME)


def load(
    name: str,
    data_dir: Path | None = None,
    *,
    users: int = 600,
    items: int = 400,
    dependence: float = 0.5,
    seed: int = 0,
) -> Dataset:
    """A data set by name.

    Args:
        name: one of `NAMES`.
        data_dir: holds the files, or a folder called `name` that does; None: the environment variable FEDAU2_DATA,
            else the user's cache, which is filled from the data set's home.
        users: of the synthetic data set.
        items: likewise.
        dependence: likewise.
        seed: likewise.

    Raises:
        ConfigError: no such data set.
        DatasetError: it cannot be found, fetched or read.
    """
    if name == synthetic.NAME:
        return synthetic.generate(users, items, dependence=dependence, seed=seed)
    if name != movielens.NAME:
        raise ConfigError(f"there is no data set {name!r}; there is {', '.join(NAMES)}")
    return movielens.load(_folder(name, data_dir))


def _folder(name: str, data_dir: Path | None) -> Path:
    given = data_dir or (Path(os.environ["FEDAU2_DATA"]) if os.environ.get("FEDAU2_DATA") else None)
    if given is None:
        cached = cache() / name
        return cached if cached.is_dir() else fetch(movielens.URL, name, movielens.CHECKSUMS, cached)
    for folder in (given / name, given):
        if any((folder / f"u.data{suffix}").is_file() for suffix in ("", ".gz")):
            return folder
    raise DatasetMissingError(f"{given} holds neither the files of {name} (u.data, ...) nor a folder {name}")
