"""`fedau2-sim sweep`: tries all combinations of some settings, which a file lists."""

import argparse
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.commands.printing import notes, print_summary
from simulator.commands.reproduce import positive
from simulator.config import arguments
from simulator.reporting.tracking import Tracking

if TYPE_CHECKING:
    from rich.console import Console


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="YAML: base, grid, seeds, original, metrics")
    parser.add_argument("--out", type=arguments.folder, help="folder of the results (runs/ and the file's name)")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--jobs", type=positive, default=2, help="runs at once, a process each (%(default)s)")
    parser.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="run only part I of N; when all parts are done, the command without it writes the tables",
    )
    parser.add_argument("--json", action="store_true", help="print summary.parquet as JSON")
    Tracking.add(parser)
    parser.set_defaults(command=_sweep)


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with I from 1 to N")
    return int(match[1]), int(match[2])


def _sweep(options: argparse.Namespace, console: "Console") -> None:
    from simulator.reproduce import sweep  # here, because PyTorch takes seconds to load
    from simulator.reproduce.repeat import Request, reproduce
    from simulator.reproduce.shard import Shard

    experiment, choice = sweep.experiment_of(sweep.read(options.file), options.file.stem)
    folder = options.out or Path("runs") / options.file.stem
    typed = shlex.join(["fedau2-sim", *sys.argv[1:]])
    tracking = Tracking.of(options).for_grid(folder.name)
    shard = Shard(*options.shard) if options.shard else None
    request = Request(experiment, choice, folder, options.data_dir, options.jobs, typed, tracking, shard)
    reproduce(request, notes(options, console))
    if options.json and not shard:
        print_summary(folder)
