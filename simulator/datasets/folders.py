"""Makes the folder of a data set, whole or not at all."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fedau2 import files
from simulator.errors import ConfigError, DatasetExistsError

GENERATED = "synthetic"
"""Name of the data set that is generated, which no folder can have."""


@contextmanager
def new(path: Path) -> Iterator[Path]:
    """Yields a temporary folder, which gets its name when the block ends without an error and is removed otherwise.

    Folders above it that are not there are made at the end.

    Raises:
        ConfigError: it has the name of the data set that is generated.
        DatasetExistsError: there is something of this name, or a file where a folder above it would be.
        OSError: the disk is full or broken.
    """
    if path.name == GENERATED:
        raise ConfigError(f"{path.name} is the name of the data set that is generated: name the folder otherwise")
    _expect_free(path)
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise DatasetExistsError(f"{above} is not a folder: name another place")
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=above) as name:
        folder = Path(name) / path.name
        folder.mkdir()
        yield folder
        for file in folder.iterdir():
            with file.open("rb") as content:
                os.fsync(content.fileno())
        path.parent.mkdir(parents=True, exist_ok=True)
        _expect_free(path)
        folder.rename(path)
        files.sync_folder(path.parent)


def write(path: Path, header: Sequence[str], rows: Iterable[Sequence[bytes]]) -> None:
    """Writes a table whose columns are separated by tabs.

    Args:
        path: the file.
        header: the names of the columns, with their types.
        rows: the fields of each row in UTF-8, without tabs and line breaks.
    """
    with path.open("wb") as file:
        file.write("\t".join(header).encode() + b"\n")
        file.writelines(b"\t".join(row) + b"\n" for row in rows)


def _expect_free(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise DatasetExistsError(f"{path} is there already: name another folder, or remove it")
