"""`fedau2-sim bench`: measures what a client costs, a round of many devices at once, or several threads."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedau2.wire.secure import policy
from simulator.commands.printing import notes
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

MOST = 100_000
"""Most devices, and most items, of a fleet that is measured."""


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--out", type=Path, help="write the figures as JSON to this file")
    parser.add_argument("--quick", action="store_true", help="fewer repeats and smaller fleets")
    parser.add_argument(
        "--fleet", type=_number, metavar="N", help="only this: N devices at once in one round over gRPC"
    )
    parser.add_argument(
        "--workers", type=_number, metavar="N", help="only this: N threads of the batched engine beside one"
    )
    parser.add_argument("--sums", choices=("plain", "secure"), help="sums of --fleet (plain)")
    parser.add_argument("--items", type=_number, metavar="N", help="items of --fleet (1682)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=_bench)


def _number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST:,}")
    return int(text)


def _bench(options: argparse.Namespace, console: "Console") -> None:
    fleet, workers = options.fleet, options.workers
    if fleet and workers:
        raise ConfigError("--fleet and --workers are two measurements: give one of them")
    if fleet is None and (options.sums or options.items):
        raise ConfigError("--sums and --items are of a fleet: say how many devices it has")
    if options.sums == "secure" and fleet < policy.LEAST_MINIMUM:
        raise ConfigError(f"secure sums are of at least {policy.LEAST_MINIMUM} devices")
    from simulator.bench import crowd, report  # here, because PyTorch takes seconds to load
    from simulator.experiment import resources

    resources.prepare()
    tables = notes(options, console)
    figures: Any
    if workers:
        figures = report.workers(options.data_dir, options.out, options.quick, workers, tables)
    elif fleet is None:
        figures = report.report(options.data_dir, options.out, options.quick, tables)
    else:
        figures = crowd.report(fleet, options.sums == "secure", options.items or crowd.ITEMS, tables)
    if options.json:
        print(json.dumps(figures, indent=2))
