"""`fedau2-sim attack`: attacks the state that a run kept, and replaces the attacks in its folder."""

import argparse
from pathlib import Path

from rich.console import Console

from simulator.commands.printing import notes, print_metrics


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run that kept its state: --keep state")
    parser.add_argument(
        "--attacks", choices=["quick", "full"], default="full", help="as of fedau2-sim run (%(default)s)"
    )
    parser.add_argument("--attack-splits", type=int, metavar="N", help="random splits of each attack (the run's)")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of splits and attackers (the run's)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes of the attackers (the run's)")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON")
    parser.set_defaults(command=_attack)


def _attack(options: argparse.Namespace, console: Console) -> None:
    from simulator.api.running import load  # here, because PyTorch takes seconds to load
    from simulator.experiment import resources
    from simulator.reporting.terminal import Bar, bars

    run = load(options.run, options.data_dir)
    resources.prepare()
    with bars(notes(options, console)) as display:
        attacked = run.attack(
            options.attacks,
            splits=options.attack_splits,
            seed=options.seed,
            workers=options.workers,
            progress=Bar(display, options.run.name),
        )
    print_metrics(attacked.config, attacked.metrics, options.run, options.json, console)
