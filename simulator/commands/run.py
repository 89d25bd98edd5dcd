"""`fedau2-sim run`: trains and evaluates one configuration into a run folder."""

import argparse
from pathlib import Path

from rich.console import Console

from simulator.config import arguments, flags
from simulator.reporting.tracking import Tracking


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--out", type=arguments.folder, required=True, help="the run folder")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--config", type=Path, help="a run's config.yaml; options given beside it change it")
    parser.add_argument(
        "--keep",
        choices=["none", "model", "state"],
        default="model",
        help="what is kept of the trained tensors: the shared model, from which `fedau2-export bundle --from` goes on; "
        "also the state of every user, for recommend, attack and audit; or none (%(default)s)",
    )
    parser.add_argument(
        "--attacks",
        choices=["none", "quick", "full"],
        default="full",
        help="attacks on what was trained: none; full, all in --attack-splits splits; or quick, all in at most 4 "
        "(%(default)s)",
    )
    Tracking.add(parser)
    flags.add(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace, console: Console) -> None:
    from simulator.experiment import (
        kept_state,
        outcome,
        resources,
        resume,
    )  # here, because PyTorch takes seconds to load
    from simulator.experiment.run import run
    from simulator.reporting import attacked, html
    from simulator.reporting.terminal import Bar, bars, results

    config = flags.configuration(options, options.config)
    if (options.out / outcome.METRICS).exists() and not resume.unfinished(options.out):
        console.print(f"{options.out} holds a finished run, which is done again and replaced", markup=False)
    resources.prepare()
    with Tracking.of(options).for_run() as trackers, bars(console) as display:
        bar = Bar(display, options.out.name)
        metrics = run(config, options.out, options.data_dir, bar, trackers, keep=options.keep, attacks=options.attacks)
    if options.keep == "state":
        console.print(f"State of the users: {kept_state.on_disk(options.out) / 1e6:,.1f} MB on disk", markup=False)
    title = f"{html.title(config)}, {config.engine.rounds} rounds"
    console.print(results({f"adversary {config.adversary}": metrics}, title))
    if attacked.missing(metrics):
        console.print(attacked.sentence(metrics), style="yellow")
    console.print(f"Report, plots and metrics: {options.out}/", markup=False)
