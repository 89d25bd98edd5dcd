"""`fedau2-sim run`: trains and evaluates one configuration into a run folder."""

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.commands.printing import notes, print_metrics
from simulator.config import arguments, flags
from simulator.reporting.tracking import Tracking

if TYPE_CHECKING:
    from rich.console import Console


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--out", type=arguments.folder, required=True, help="the run folder")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--config", type=Path, help="a run's config.yaml; options given beside it change it")
    parser.add_argument(
        "--keep",
        choices=["none", "model", "state"],
        default="model",
        help="model keeps the shared tensors, for `fedau2-export bundle --from`; state also those of every user, for "
        "recommend, attack and audit (%(default)s)",
    )
    parser.add_argument(
        "--attacks",
        choices=["none", "quick", "full"],
        default="full",
        help="full makes all attacks in all --attack-splits, and quick in at most 4 of them, on at most 4,000 users "
        "(%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON")
    parser.add_argument(
        "--live", action="store_true", help="also write live.html, a page in the run folder that follows the run"
    )
    Tracking.add(parser)
    flags.add(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace, console: "Console") -> None:
    from simulator.experiment import (
        kept_state,
        outcome,
        resources,
        resume,
    )  # here, because PyTorch takes seconds to load
    from simulator.experiment.run import run
    from simulator.experiment.trainer import Progress
    from simulator.reporting.live import PAGE, Live
    from simulator.reporting.terminal import Bar, bars

    config = flags.configuration(options, options.config)
    remarks = notes(options, console)
    if (options.out / outcome.METRICS).exists() and not resume.unfinished(options.out):
        remarks.print(f"{options.out} holds a finished run, which is done again and replaced", markup=False)
    resources.prepare()
    with Tracking.of(options).for_run() as trackers, bars(remarks) as display, ExitStack() as pages:
        how = {"keep": options.keep, "attacks": options.attacks}
        progress: Progress = Bar(display, options.out.name)
        if options.live:
            progress = live = pages.enter_context(Live(options.out, progress))
            trackers.append(live)
            remarks.print(f"Follow the run: {options.out / PAGE}", markup=False)
        metrics = run(config, options.out, options.data_dir, progress, trackers, **how)
    print_metrics(config, metrics, options.out, options.json, console)
    if options.keep == "state":
        size = kept_state.on_disk(options.out) / 1e6
        remarks.print(f"State of the users: {size:,.1f} MB in {options.out / kept_state.FOLDER}/", markup=False)
