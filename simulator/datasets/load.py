"""Finds a data set: in a folder that is named, in the cache, or at its home."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from simulator.datasets import atomic, cuts, lastfm, movielens, movielens1m, synthetic
from simulator.datasets.dataset import Dataset
from simulator.datasets.download import cache, fetch
from simulator.errors import ConfigError, DatasetMissingError


@dataclass(frozen=True)
class Source:
    """A data set that is known by name.

    Attributes:
        files: that it consists of; the first one tells its folder.
        home: where it comes from.
        checksums: what a fetched file must be; empty: it has to be fetched by hand.
        cores: its own k-core, items per user and users per item.
    """

    files: tuple[str, ...]
    home: str
    checksums: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, int] = (0, 0)


SOURCES = {
    movielens.NAME: Source(tuple(movielens.CHECKSUMS), movielens.URL, movielens.CHECKSUMS),
    movielens1m.NAME: Source(tuple(movielens1m.CHECKSUMS), movielens1m.URL, movielens1m.CHECKSUMS),
    lastfm.NAME: Source((lastfm.PROFILES, lastfm.PLAYS), lastfm.HOME, cores=(lastfm.USER_CORE, lastfm.ITEM_CORE)),
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
    """A data set by name.

    Args:
        name: one of `NAMES`, or that of RecBole's atomic files: NAME.inter.
        data_dir: holds the files, or a folder called `name` that does; None: the environment variable FEDAU2_DATA,
            else the user's cache, which is filled from the data set's home.
        users: of the synthetic data set.
        items: likewise.
        dependence: likewise.
        seed: likewise.
        user_core: different items that each user has at least; 0: the data set's own cut, 1: none.
        item_core: different users that each item has at least; likewise.
        balance: attribute of whose classes equally many users are kept, after the cut.
        minority: attribute whose rarest class is cut to a share of the users, after the other cuts.

    Raises:
        ConfigError: no such data set, or no such attribute.
        DatasetError: it cannot be found, fetched or read, or nothing is left of it.
    """
    if name == synthetic.NAME:
        dataset = synthetic.generate(users, items, dependence=dependence, seed=seed)
    else:
        dataset = _read(name, data_dir)
    own = SOURCES[name].cores if name in SOURCES else (0, 0)
    cores = (user_core or own[0], item_core or own[1])
    if max(cores) > 1:
        dataset = cuts.cut(dataset, *cores)
    if balance is not None:
        dataset = cuts.balance(dataset, balance)
    return dataset if minority is None else cuts.thin(dataset, *minority)


def _read(name: str, data_dir: Path | None) -> Dataset:
    folder = find(name, data_dir)
    if name == movielens.NAME:
        return movielens.load(folder)
    if name == movielens1m.NAME:
        return movielens1m.load(folder)
    return lastfm.load(folder) if name == lastfm.NAME else atomic.load(folder, name)


def find(name: str, data_dir: Path | None) -> Path:
    """The folder with a data set's files; fetches it if no folder is named and it is not in the cache.

    Raises:
        ConfigError: no such data set.
        DatasetError: it is not there, or cannot be fetched.
    """
    given = data_dir or (Path(os.environ["FEDAU2_DATA"]) if os.environ.get("FEDAU2_DATA") else None)
    source = SOURCES.get(name)
    marker = source.files[0] if source else f"{name}.inter"
    for folder in (given / name, given) if given else (cache() / name,):
        if any((folder / f"{marker}{suffix}").is_file() for suffix in ("", ".gz")):
            return folder
    if source is None:
        raise ConfigError(
            f"there is no data set {name!r}{f' in {given}' if given else ''}; there is {', '.join(NAMES)}, or your "
            f"own: --data-dir with a {marker} in it"
        )
    if given:
        raise DatasetMissingError(f"{given} holds neither the files of {name} ({marker}, ...) nor a folder {name}")
    return fetch_known(name)


def fetch_known(name: str) -> Path:
    """Fetches a data set into the cache, where it is not there yet.

    Raises:
        ConfigError: it has no home.
        DatasetError: it cannot be fetched, or is not what it should be.
    """
    if name not in SOURCES:
        raise ConfigError(f"{name} cannot be fetched; {', '.join(SOURCES)} have a home")
    source, cached = SOURCES[name], cache() / name
    if cached.is_dir():
        return cached
    if not source.checksums:
        raise DatasetMissingError(
            f"{name} has to be fetched by hand from {source.home}; unpack it and name its folder with --data-dir"
        )
    return fetch(source.home, name, source.checksums, cached)
