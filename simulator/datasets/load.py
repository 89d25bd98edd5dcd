"""Loads a data set by name, and cuts it."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from simulator.config.own_files import OwnFiles
from simulator.datasets import cuts, recbole, synthetic
from simulator.datasets.dataset import Dataset
from simulator.datasets.places import SOURCES, expect_generated, find
from simulator.errors import ConfigError


def load_dataset(
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
    settings: OwnFiles | None = None,
) -> Dataset:
    """Loads a data set by name and cuts it.

    Args:
        name: one of `names()`, or NAME for RecBole's atomic file NAME.inter. Where a folder holds NAME.inter of the
            name of a known data set, that is read.
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
        settings: those by which a data set of one's own is read; None for the defaults.

    Raises:
        ConfigError: there is no such data set or attribute, or a setting has no effect on the data set.
        DatasetError: the data set cannot be found, downloaded or read, or the cuts leave nothing of it.
    """
    settings = settings or OwnFiles()
    if name == synthetic.NAME:
        expect_generated(data_dir)
        expect_unused(name, settings)
        dataset, defaults = synthetic.generate(users, items, dependence=dependence, seed=seed), (0, 0)
    else:
        dataset, defaults = _read(name, data_dir, settings)
    cores = (user_core or defaults[0], item_core or defaults[1])
    return cuts.cut(dataset, *cores, balance, minority)


def _read(name: str, data_dir: Path | None, settings: OwnFiles) -> tuple[Dataset, tuple[int, int]]:
    """Returns a data set, and its default k-core."""
    place = find(name, data_dir)
    if place.source is not None:
        expect_unused(name, settings, place.source.takes)
        return place.source.read(place.folder, settings), place.source.cores
    dataset = recbole.load(place.folder, name, settings)
    if name in SOURCES:
        other = f"these are RecBole's files, not the original ones of {name}"
        dataset = replace(dataset, notes=(other, *dataset.notes))
    return dataset, (0, 0)


def expect_unused(name: str, settings: OwnFiles, usable: Collection[str] = ()) -> None:
    """Checks that no setting is given of those by which files of one's own are read, except some.

    Raises:
        ConfigError: one is, and would have no effect.
    """
    if unused := [setting for setting in settings.changed() if setting not in usable]:
        raise ConfigError(f"{', '.join(unused)} has no effect on {name}, whose format is known: leave it out")
