"""Tables in Parquet files. Python opens the files, because Arrow refuses paths with bytes that are not text."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pandas as pd

from fedau2 import files


def write(frame: pd.DataFrame, path: Path) -> None:
    """Writes a table.

    Raises:
        OSError: the file cannot be written, for example because the disk is full; it names the file.
    """
    with files.named(path):
        path.write_bytes(frame.to_parquet())


def read(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Reads a table, or some of its columns.

    Raises:
        OSError: the file cannot be read.
    """
    return pd.read_parquet(BytesIO(path.read_bytes()), columns=None if columns is None else list(columns))
