"""`fedau2-sim attack`: attacks the state that a run kept, and replaces the attacks in its folder.

With `--after` it shows what lasts instead, and changes nothing in the folder.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.commands.printing import notes, print_metrics, print_table

if TYPE_CHECKING:
    from rich.console import Console


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run that kept its state: --keep state")
    parser.add_argument(
        "--attacks", choices=["quick", "full"], default="full", help="as of fedau2-sim run (%(default)s)"
    )
    parser.add_argument(
        "--after",
        type=_rounds,
        metavar="A,B",
        help="show instead what is read at once, and after A and B further rounds of everybody; changes nothing",
    )
    parser.add_argument("--attack-splits", type=int, metavar="N", help="random splits of each attack (the run's)")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of splits and attackers (the run's)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes of the attackers (the run's)")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON")
    parser.set_defaults(command=_attack)


def _rounds(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def _attack(options: argparse.Namespace, console: "Console") -> None:
    from simulator.api.running import load  # here, because PyTorch takes seconds to load
    from simulator.experiment import resources
    from simulator.reporting.terminal import Bar, bars

    run = load(options.run, options.data_dir)
    resources.prepare()
    numbers: dict[str, Any] = {"splits": options.attack_splits, "seed": options.seed, "workers": options.workers}
    with bars(notes(options, console)) as display:
        bar = Bar(display, options.run.name)
        if options.after is None:
            run = run.attack(options.attacks, **numbers, progress=bar)
        else:
            table = run.lasting(options.after, **numbers, progress=bar)
    if options.after is not None:
        rows = json.loads(table.to_json(orient="records"))  # None for NaN
        print_table(rows, f"What lasts of {options.run}", options.json, console)
        return
    print_metrics(run.config, run.metrics, options.run, options.json, console)
