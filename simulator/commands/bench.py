"""The `bench` command of `fedau2-sim`."""

import argparse
from pathlib import Path

from rich.console import Console

from simulator.bench import crowd, report


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = commands.add_parser("bench", help="what a client costs, against a naive loop in the same run")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--out", type=Path, help="write the figures as JSON to this file")
    parser.add_argument("--quick", action="store_true", help="fewer repeats and smaller fleets")
    parser.add_argument("--fleet", type=int, metavar="N", help="only this: N devices at once in one round over gRPC")
    parser.set_defaults(command=_bench)


def _bench(options: argparse.Namespace, console: Console) -> None:
    if options.fleet is not None:
        crowd.report(options.fleet, console)
    else:
        report.report(options.data_dir, options.out, options.quick, console)
