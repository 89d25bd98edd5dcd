"""Tables of commands: for people, or as JSON."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from simulator.config.config import Config


def notes(options: argparse.Namespace, console: "Console") -> "Console":
    """Returns where progress and remarks are printed: on standard error, if the table is printed as JSON."""
    from rich.console import Console  # here, because help does not need it

    return Console(stderr=True, quiet=options.quiet) if options.json else console


def print_table(rows: Sequence[Mapping[str, Any]], title: str, as_json: bool, console: "Console") -> None:
    """Prints rows that have the same columns."""
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for name, value in rows[0].items() if rows else ():
        table.add_column(name, overflow="fold", justify="right" if isinstance(value, int | float) else "left")
    for row in rows:
        table.add_row(*(Text(_text(value)) for value in row.values()))  # Text: a name of the data may look like markup
    console.print(table)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_text(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def print_summary(folder: Path) -> None:
    """Prints the summary of a grid as JSON: a row for each method of each model, data set and attribute."""
    from simulator.reporting import frames

    print(frames.read(folder / "summary.parquet").to_json(orient="records", indent=2))


def print_metrics(
    config: "Config", metrics: Mapping[str, Any], folder: Path, as_json: bool, console: "Console"
) -> None:
    """Prints the metrics of a run, and what was not attacked."""
    from simulator.experiment import promise
    from simulator.reporting import attacked, html, words  # here, because they load what a run needs
    from simulator.reporting.groups import GROUPS
    from simulator.reporting.terminal import by_group, results

    if as_json:
        print(json.dumps(metrics, indent=2))
        return
    title = f"{html.title(config)}, {config.engine.rounds} rounds"
    console.print(results({words.label(config): metrics}, title))
    for attribute in metrics.get(GROUPS, {}):
        console.print(by_group(metrics, attribute))
    if attacked.missing(metrics):
        console.print(attacked.sentence(metrics), style="yellow")
    for text in promise.sentences(metrics):
        console.print(text, markup=False)
    console.print(f"Report, plots and metrics: {folder}/", markup=False)
