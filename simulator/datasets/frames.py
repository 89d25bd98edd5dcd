"""Turns data frames into tables of text, which are read as files are."""

from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api import types

from simulator.datasets import columns, times
from simulator.datasets.own_data import Table
from simulator.datasets.table import Block
from simulator.errors import DatasetFormatError

_OTHER = "object"
"""Type of a column of neither texts nor numbers, or of both."""


def table(name: str, frame: pd.DataFrame) -> Table:
    """Makes a table of a data frame.

    Args:
        name: its name, for errors and notes.
        frame: the frame; its index is not read.

    Raises:
        DatasetFormatError: two columns have the same name.
    """
    series = {str(column): frame.iloc[:, place] for place, column in enumerate(frame.columns)}
    if len(series) < len(frame.columns):
        raise DatasetFormatError(f"{name}: two columns have the same name")
    header = {column: _type(values) for column, values in series.items()}
    if columns.TIME in header and header[columns.TIME] != _OTHER and not _is_text(series[columns.TIME]):
        header[columns.TIME] = columns.FLOAT
    bits = {column: bits for column, values in series.items() if (bits := _bits(values)) < times.BITS}

    def blocks(used: Collection[str]) -> Iterator[Block]:
        arrays = {column: _texts(name, column, series[column]) for column in used}
        yield Block(name, np.arange(len(frame)), arrays, unit="row", bits=bits)

    return Table(name, header, blocks)


def _type(series: pd.Series) -> str:
    """Returns the type of a column in RecBole's words: whole numbers may name something, other numbers measure it."""
    series = _plain(series)
    if types.is_bool_dtype(series) or types.is_integer_dtype(series) or _is_text(series):
        return columns.TOKEN
    if types.is_float_dtype(series) or types.is_datetime64_any_dtype(series):
        return columns.FLOAT
    kinds = set(map(type, series.dropna()))
    return columns.TOKEN if all(issubclass(kind, int | np.integer) for kind in kinds - {bool}) else _OTHER


def _bits(series: pd.Series) -> int:
    """Returns the bits of a column's floats: 24 for 32-bit floats, 11 for 16-bit ones; those of 64 bits for others."""
    dtype = _plain(series).iloc[:0].to_numpy().dtype  # the plain one, whoever keeps the column
    return min(np.finfo(dtype).nmant + 1, times.BITS) if dtype.kind == "f" else times.BITS


def _is_text(series: pd.Series) -> bool:
    return all(issubclass(kind, str) for kind in set(map(type, _plain(series).dropna())))


def _plain(series: pd.Series) -> pd.Series:
    return series.astype(series.cat.categories.dtype) if isinstance(series.dtype, pd.CategoricalDtype) else series


def _texts(name: str, column: str, series: pd.Series) -> pa.Array:
    """Writes a column as texts, missing values as empty ones, and times as whole numbers of their unit."""
    series = _plain(series)
    known = series.notna().to_numpy()
    values = series[known]
    if types.is_datetime64_any_dtype(values):
        values = values.astype("int64")
    texts = np.full(len(series), b"", object)
    try:
        texts[known] = [str(value).encode() for value in values.tolist()]
    except UnicodeEncodeError as error:
        raise DatasetFormatError(f"{name}: {column} has a text that is not Unicode: {error}") from error
    return pa.array(texts, pa.binary())
