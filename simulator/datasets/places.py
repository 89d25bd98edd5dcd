"""The places of data sets: a given folder, the cache, or a home page.

To add a data set, write a reader in a module of its own and a line in `SOURCES`, or both in a plug-in.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedau2.plugins import Registry
from fedau2.similar import did_you_mean
from simulator.config.own_files import OwnFiles
from simulator.datasets import files, lastfm, movielens, movielens1m, movielens_csv, synthetic
from simulator.datasets.dataset import Dataset
from simulator.datasets.download import cache, fetch
from simulator.errors import ConfigError, DatasetMissingError


@dataclass(frozen=True)
class Source:
    """A data set with a home page.

    Attributes:
        read: reads its folder by the settings of own files.
        files: the names of its files; the folder that holds the first file is taken as its folder. A data set without
            files is made by `read`, which gets the current folder.
        home: the address of its archive, or of its home page.
        checksums: the checksum of each file of the archive; empty if it must be downloaded by hand.
        cores: its default k-core, items per user and users per item; (0, 0) for none.
        takes: names of the settings of own files that it has use for.
    """

    read: Callable[[Path, OwnFiles], Dataset]
    files: tuple[str, ...]
    home: str
    checksums: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, int] = (0, 0)
    takes: tuple[str, ...] = ()


def _rated_movies(edition: movielens_csv.Edition) -> Source:
    return Source(lambda folder, _: movielens_csv.load(folder, edition), (movielens_csv.FILE,), edition.home)


_OURS = {
    movielens.NAME: Source(
        lambda folder, _: movielens.load(folder), tuple(movielens.CHECKSUMS), movielens.URL, movielens.CHECKSUMS
    ),
    movielens1m.NAME: Source(
        lambda folder, settings: movielens1m.load(folder, settings.encoding),
        tuple(movielens1m.CHECKSUMS),
        movielens1m.URL,
        movielens1m.CHECKSUMS,
        takes=("encoding",),
    ),
    **{edition.name: _rated_movies(edition) for edition in movielens_csv.EDITIONS},
    lastfm.NAME: Source(
        lambda folder, settings: lastfm.load(folder, settings.encoding),
        (lastfm.PROFILES, lastfm.PLAYS),
        lastfm.HOME,
        cores=(lastfm.USER_CORE, lastfm.ITEM_CORE),
        takes=("encoding",),
    ),
}
SOURCES: Registry[Source] = Registry("datasets", Source, _OURS)


def names() -> list[str]:
    """Lists the data sets that have a name."""
    return [*SOURCES, synthetic.NAME]


@dataclass(frozen=True)
class Place:
    """A folder that holds a data set.

    Attributes:
        folder: the folder.
        source: the reader of its original files; None: it holds RecBole's atomic files.
    """

    folder: Path
    source: Source | None


def find(name: str, data_dir: Path | None) -> Place:
    """Finds the folder with a data set's files; downloads it if no folder is given and it is not in the cache.

    Raises:
        ConfigError: there is no such data set, or two of this name.
        DatasetError: the files are missing, or cannot be downloaded.
    """
    parent, source = _parent(data_dir), SOURCES.get(name)
    if source and not source.files:
        return Place(Path(), source)
    folders = (parent / name, parent) if parent else (cache() / name,)
    original = [folder for folder in folders if source and files.exists(folder, source.files[0])]
    atomic = [folder for folder in folders if files.exists(folder, f"{name}.inter")]
    if original and atomic:
        raise ConfigError(
            f"{name} is there twice, as the original files in {original[0]} and as {name}.inter in {atomic[0]}: move "
            f"one of them to another folder, or rename {name}.inter and the files that belong to it"
        )
    if original or atomic:
        return Place(original[0], source) if original else Place(atomic[0], None)
    if parent or source is None:
        raise _nowhere(name, parent)
    return Place(fetch_known(name), source)


def expect_generated(data_dir: Path | None) -> None:
    """Checks that no folder holds files of the name of the data set that is generated.

    Raises:
        ConfigError: there are such files.
    """
    parent, name = _parent(data_dir), synthetic.NAME
    for folder in (parent / name, parent) if parent else ():
        if files.exists(folder, f"{name}.inter"):
            raise ConfigError(
                f"{name} is the name of the data set that is generated, and {folder} holds {name}.inter: rename the "
                "files to read them, or name another --data-dir to generate the data set"
            )


def _parent(data_dir: Path | None) -> Path | None:
    """Returns the folder that was named, or that the environment variable FEDAU2_DATA names."""
    return data_dir or (Path(os.environ["FEDAU2_DATA"]) if os.environ.get("FEDAU2_DATA") else None)


def _nowhere(name: str, parent: Path | None) -> ConfigError | DatasetMissingError:
    """Makes the error for a data set that is not there: it says what is there instead."""
    source, marker = SOURCES.get(name), f"{name}.inter"
    folders = [folder for folder in (parent / name, parent) if folder.is_dir()] if parent else []
    if parent and not folders:
        return DatasetMissingError(f"there is no folder {parent}")
    where = " and ".join(map(str, folders))
    if source:
        original = f"the original files of {name} ({', '.join(source.files)})"
        return DatasetMissingError(f"neither {original} nor {marker} are in {where}{_seen(folders)}")
    return ConfigError(
        f"there is no data set {name!r}{f' in {where}' if where else ''}: choose one of {', '.join(names())}, or give "
        f"the folder that holds your {marker} with --data-dir{_seen(folders) or did_you_mean(name, names())}"
    )


def _seen(folders: Sequence[Path]) -> str:
    """Points to files that may be meant."""
    paths = sorted(path for folder in folders for path in folder.iterdir() if path.is_file())
    atomic = [path.name.removesuffix(".gz").removesuffix(".inter") for path in paths if ".inter" in path.suffixes[-2:]]
    if atomic:
        return f"; there is the data set {atomic[0]!r}"
    if archive := next((path.name for path in paths if path.suffix == ".zip"), None):
        return f"; {archive} must be unpacked"
    tables = [path.name for path in paths if {".csv", ".tsv"} & {*path.suffixes[-2:]}]
    return f"; fedau2-sim datasets import reads {tables[0]}" if tables else ""


def fetch_known(name: str) -> Path:
    """Downloads a data set into the cache, unless the cache has it.

    Raises:
        ConfigError: the data set has no home page.
        DatasetError: it cannot be downloaded, or a checksum is wrong.
    """
    if name not in SOURCES:
        raise ConfigError(f"{name} cannot be downloaded; {', '.join(SOURCES)} can")
    source, cached = SOURCES[name], cache() / name
    if not source.files:
        raise ConfigError(f"{name} has no files to download: it is made when it is used")
    if cached.is_dir():
        return cached
    if not source.checksums:
        raise DatasetMissingError(
            f"{name} must be downloaded by hand from {source.home}; unpack it and give its folder with --data-dir"
        )
    return fetch(source.home, name, source.checksums, cached)
