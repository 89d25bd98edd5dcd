"""Loads a data set by name: from a given folder, from the cache, or from its home page.

To add a data set, write a reader in a module of its own and a line in `SOURCES`.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from simulator.datasets import cuts, lastfm, movielens, movielens1m, recbole, synthetic
from simulator.datasets.dataset import Dataset
from simulator.datasets.download import cache, fetch
from simulator.errors import ConfigError, DatasetMissingError


@dataclass(frozen=True)
class Source:
    """A data set with a home page.

    Attributes:
        read: reads its folder.
        files: the names of its files; the folder that holds the first file is taken as its folder.
        home: the address of its archive, or of its home page.
        checksums: the checksum of each file of the archive; empty if it must be downloaded by hand.
        cores: its default k-core, items per user and users per item; (0, 0) for none.
    """

    read: Callable[[Path], Dataset]
    files: tuple[str, ...]
    home: str
    checksums: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, int] = (0, 0)


SOURCES = {
    movielens.NAME: Source(movielens.load, tuple(movielens.CHECKSUMS), movielens.URL, movielens.CHECKSUMS),
    movielens1m.NAME: Source(movielens1m.load, tuple(movielens1m.CHECKSUMS), movielens1m.URL, movielens1m.CHECKSUMS),
    lastfm.NAME: Source(
        lastfm.load, (lastfm.PROFILES, lastfm.PLAYS), lastfm.HOME, cores=(lastfm.USER_CORE, lastfm.ITEM_CORE)
    ),
}
NAMES = (*SOURCES, synthetic.NAME)


def load(
    name: str,
    data_dir: Path | None = None,
    *,
    users: int = 600,
    items: int = 400,
    dependence: float = 0.5,
    seed: int = 0,
    user_core: int = 0,
    item_core: int = 0,
    balance: str | None = None,
    minority: tuple[str, float] | None = None,
) -> Dataset:
    """Loads a data set by name and cuts it.

    Args:
        name: one of `NAMES`, or NAME for RecBole's atomic file NAME.inter.
        data_dir: the folder that holds the files, or the folder called `name` that holds them. By default the folder
            that the environment variable FEDAU2_DATA names, and otherwise the user's cache, into which a data set is
            downloaded.
        users: number of users of the synthetic data set.
        items: number of its items.
        dependence: dependence of its users' tastes on their gender, 0 to 1.
        seed: its random seed.
        user_core: different items that each user has at least; 0 for the data set's default, 1 for no cut.
        item_core: different users that each item has at least; 0 and 1 as for `user_core`.
        balance: attribute whose classes are cut to equally many users, after the k-core.
        minority: attribute, and the share of the users to which its rarest class is cut, after the other cuts.

    Raises:
        ConfigError: there is no such data set or attribute.
        DatasetError: the data set cannot be found, downloaded or read, or the cuts leave nothing of it.
    """
    if name == synthetic.NAME:
        dataset = synthetic.generate(users, items, dependence=dependence, seed=seed)
    else:
        dataset = _read(name, data_dir)
    defaults = SOURCES[name].cores if name in SOURCES else (0, 0)
    cores = (user_core or defaults[0], item_core or defaults[1])
    if max(cores) > 1:
        dataset = cuts.cut_to_core(dataset, *cores)
    if balance is not None:
        dataset = cuts.balance(dataset, balance)
    return dataset if minority is None else cuts.thin(dataset, *minority)


def _read(name: str, data_dir: Path | None) -> Dataset:
    folder = find(name, data_dir)
    return SOURCES[name].read(folder) if name in SOURCES else recbole.load(folder, name)


def find(name: str, data_dir: Path | None) -> Path:
    """Finds the folder with a data set's files; downloads it if no folder is given and it is not in the cache.

    Raises:
        ConfigError: there is no such data set.
        DatasetError: the files are missing, or cannot be downloaded.
    """
    parent = data_dir or (Path(os.environ["FEDAU2_DATA"]) if os.environ.get("FEDAU2_DATA") else None)
    source = SOURCES.get(name)
    marker = source.files[0] if source else f"{name}.inter"
    for folder in (parent / name, parent) if parent else (cache() / name,):
        if any((folder / f"{marker}{suffix}").is_file() for suffix in ("", ".gz")):
            return folder
    if source is None:
        raise ConfigError(
            f"there is no data set {name!r}{f' in {parent}' if parent else ''}: choose one of {', '.join(NAMES)}, or "
            f"give the folder that holds your {marker} with --data-dir"
        )
    if parent:
        raise DatasetMissingError(f"{parent} holds neither the files of {name} ({marker}, ...) nor a folder {name}")
    return fetch_known(name)


def fetch_known(name: str) -> Path:
    """Downloads a data set into the cache, unless the cache has it.

    Raises:
        ConfigError: the data set has no home page.
        DatasetError: it cannot be downloaded, or a checksum is wrong.
    """
    if name not in SOURCES:
        raise ConfigError(f"{name} cannot be downloaded; {', '.join(SOURCES)} can")
    source, cached = SOURCES[name], cache() / name
    if cached.is_dir():
        return cached
    if not source.checksums:
        raise DatasetMissingError(
            f"{name} must be downloaded by hand from {source.home}; unpack it and give its folder with --data-dir"
        )
    return fetch(source.home, name, source.checksums, cached)
