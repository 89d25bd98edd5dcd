"""Opens tables to import: by their names they have separators, or are JSON lines."""

from collections.abc import Sequence
from pathlib import Path

from simulator.config.own_files import OwnFiles
from simulator.datasets import columns, csv_files, json_lines, layouts
from simulator.datasets.layouts import Layout
from simulator.datasets.own_data import Table
from simulator.errors import ConfigError

_SHORT = {"user": columns.USER, "item": columns.ITEM, "time": columns.TIME}
"""Short names of columns where they are named on the command line."""


def table(path: Path, settings: OwnFiles, delimiter: str | None, names: Sequence[str] | None) -> Table:
    """Opens a table, plain or .gz.

    Args:
        path: the file.
        settings: those by which it is read.
        delimiter: the character between two fields; None: a tab for .tsv, a comma for others.
        names: of the columns; None: the file has them.

    Raises:
        ConfigError: names are given for a file whose lines have them.
        DatasetError: the file is missing, damaged or empty, or its first line is not a header.
    """
    if json_lines.is_named(path):
        if names is not None:
            raise ConfigError(f"every line of {path.name} names its fields: leave out the names of its columns")
        return json_lines.table(path, settings.encoding)
    delimiter = delimiter or csv_files.delimiter_of(path)
    if names is not None:
        return csv_files.table(path, settings.encoding, delimiter, [_SHORT.get(name, name) for name in names])
    known = (columns.USER, columns.ITEM, settings.user_column, settings.item_column)
    return csv_files.table(path, settings.encoding, delimiter, known=known)


def interactions(
    path: Path, settings: OwnFiles, delimiter: str | None, names: Sequence[str] | None
) -> tuple[Table, Layout | None]:
    """Opens a table of interactions, and recognises its layout. Arguments and errors are those of `table`."""
    if names is None and not json_lines.is_named(path):
        first = csv_files.first_row(path, settings.encoding, delimiter or csv_files.delimiter_of(path))
        if names := layouts.names_of_ratings(first):
            return table(path, settings, delimiter, names), layouts.RATINGS
    opened = table(path, settings, delimiter, names)
    return opened, layouts.recognise(opened.header)
