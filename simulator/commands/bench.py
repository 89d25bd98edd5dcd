"""`fedau2-sim bench`: measures what a client costs, or a round of many devices at once."""

import argparse
from pathlib import Path

from rich.console import Console


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--out", type=Path, help="write the figures as JSON to this file")
    parser.add_argument("--quick", action="store_true", help="fewer repeats and smaller fleets")
    parser.add_argument("--fleet", type=int, metavar="N", help="only this: N devices at once in one round over gRPC")
    parser.add_argument("--sums", choices=("plain", "secure"), default="plain", help="sums of --fleet (%(default)s)")
    parser.add_argument("--items", type=int, default=1682, metavar="N", help="items of --fleet (%(default)s)")
    parser.set_defaults(command=_bench)


def _bench(options: argparse.Namespace, console: Console) -> None:
    from simulator.bench import crowd, report  # here, because PyTorch takes seconds to load
    from simulator.experiment import resources

    resources.prepare()
    if options.fleet is not None:
        crowd.report(options.fleet, options.sums == "secure", options.items, console)
    else:
        report.report(options.data_dir, options.out, options.quick, console)
