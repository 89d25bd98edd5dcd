"""Prints data sets."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def show(rows: Sequence[Mapping[str, Any]], as_json: bool, console: "Console") -> None:
    """Prints a row for each data set, as a table with its notes below, or as JSON."""
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    console.print(_table(rows))
    for row in rows:
        for note in row.get("notes", ()):
            console.print(f"{row['name']}: {note}", markup=False, highlight=False, soft_wrap=True)


def _table(rows: Sequence[Mapping[str, Any]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table()
    columns = [column for column in rows[0] if column != "notes"]
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if isinstance(rows[0][column], int) else "left")
    for row in rows:
        # Text, not str: a name of the data may look like markup.
        table.add_row(*(Text(_text(row.get(column, ""))) for column in columns))
    return table


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        nested = any(isinstance(item, Mapping) for item in value.values())
        return ("\n" if nested else ", ").join(f"{key}: {_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "\n".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3%}" if isinstance(value, float) else str(value)
