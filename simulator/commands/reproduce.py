"""`fedau2-sim reproduce`: repeats an experiment of the paper."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from client_sdk.kernel.models import RECOMMENDERS
from simulator.commands.printing import notes, print_summary
from simulator.config import arguments, flags
from simulator.config.sections import SPLITS
from simulator.reporting.tracking import Tracking
from simulator.reproduce.experiments import EXPERIMENTS

if TYPE_CHECKING:
    from rich.console import Console


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("experiment", choices=EXPERIMENTS, metavar="EXPERIMENT", help=", ".join(EXPERIMENTS))
    models = ",".join(RECOMMENDERS)
    parser.add_argument("--model", type=arguments.names, help=f"recommenders ({models}; with --quick fedncf)")
    parser.add_argument("--dataset", type=arguments.names, default=["ml-100k"], help="data sets (ml-100k)")
    parser.add_argument(
        "--attributes",
        type=arguments.names,
        default=["gender"],
        help="attributes; gender+age is one run of both (gender)",
    )
    parser.add_argument("--method", type=arguments.names, help="of the experiment's methods (all)")
    parser.add_argument("--seeds", type=arguments.numbers, help="one run each (0,1,2; with --quick 0)")
    parser.add_argument("--split", choices=SPLITS, default="validation", help="as of fedau2-sim run (%(default)s)")
    parser.add_argument("--balance", action="store_true", help="as of fedau2-sim run")
    parser.add_argument("--rounds", type=int, help="rounds to train (those of each method)")
    parser.add_argument("--attack-splits", type=int, help="as of fedau2-sim run (40)")
    parser.add_argument(
        "--quick", action="store_true", help="a look: few rounds, few attack splits, one seed, one model"
    )
    parser.add_argument(
        "--out", type=arguments.folder, help="folder of the results (runs/EXPERIMENT, with --quick …-quick)"
    )
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--jobs", type=positive, default=2, help="runs at once, a process each (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print summary.parquet as JSON")
    Tracking.add(parser)
    flags.add_own_files(parser)
    parser.set_defaults(command=_command)


def positive(text: str) -> int:
    """Reads a number from 1 on.

    Raises:
        argparse.ArgumentTypeError: it is not such a number.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number from 1 on, not {text!r}")
    return int(text)


def _command(options: argparse.Namespace, console: "Console") -> None:
    from simulator.reproduce.grid import QUICK, Choice  # here, because PyTorch takes seconds to load
    from simulator.reproduce.repeat import Request, reproduce

    experiment = EXPERIMENTS[options.experiment].of(options.attributes)
    settings = {
        "evaluation.split": options.split,
        "data.balance": options.balance,
        **flags.given(options),
        **(QUICK if options.quick else {}),
    }
    flagged = {"engine.rounds": options.rounds, "evaluation.attack_splits": options.attack_splits}
    choice = Choice(
        models=options.model or (["fedncf"] if options.quick else list(RECOMMENDERS)),
        datasets=options.dataset,
        attributes=options.attributes,
        seeds=options.seeds or ([0] if options.quick else [0, 1, 2]),
        methods=options.method,
        settings=settings | {path: value for path, value in flagged.items() if value is not None},
    )
    folder = options.out or Path("runs") / f"{experiment.name}{'-quick' if options.quick else ''}"
    typed = shlex.join(["fedau2-sim", *sys.argv[1:]])
    tracking = Tracking.of(options).for_grid(folder.name)
    request = Request(experiment, choice, folder, options.data_dir, options.jobs, typed, tracking)
    reproduce(request, notes(options, console))
    if options.json:
        print_summary(folder)
