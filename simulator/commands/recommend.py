"""`fedau2-sim recommend`: recommends items to a user of a finished run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.commands.printing import print_table

if TYPE_CHECKING:
    from rich.console import Console


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run that kept its state: --keep state")
    parser.add_argument("--user", required=True, metavar="ID", help="id of the user in the data set")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="most items (%(default)s)")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=_recommend)


def _recommend(options: argparse.Namespace, console: "Console") -> None:
    from simulator.api.running import load  # here, because PyTorch takes seconds to load

    items = load(options.run, options.data_dir).recommend(options.user, options.top)
    rows = [{str(name): value for name, value in row.items()} for row in items.to_dict("records")]
    print_table(rows, f"Items for user {options.user}", options.json, console)
