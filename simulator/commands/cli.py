"""`fedau2-sim`: runs an experiment, an audit, the demo, or the benchmark, and looks after data sets."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from client_sdk.errors import FedError
from coordinator.errors import CoordinatorError
from export.errors import ExportError
from fedau2.wire.errors import WireError
from simulator.commands import audit as audit
from simulator.commands import bench as bench
from simulator.commands import datasets
from simulator.commands import reproduce as reproduce
from simulator.commands.demo import demo
from simulator.config import arguments, flags
from simulator.errors import BoundPassedError, SimulatorError, explain
from simulator.experiment import resources
from simulator.experiment.run import run
from simulator.reporting import html
from simulator.reporting.terminal import Bar, bars, results
from simulator.reporting.tracking import Tracking


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status.

    0; 1 for an error that is explained, 2 for wrong usage, 3 where an audit passes a bound, 130 when interrupted.
    """
    options = _parser().parse_args(arguments)
    console = Console()
    resources.prepare()
    try:
        options.command(options, console)
    except (SimulatorError, ExportError, CoordinatorError, WireError, FedError, OSError) as error:
        print(f"fedau2-sim: {explain(error)}", file=sys.stderr)
        return 3 if isinstance(error, BoundPassedError) else 1
    except KeyboardInterrupt:
        print("fedau2-sim: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fedau2-sim", description="Simulates federated attribute unlearning.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    audit.add(commands)
    reproduce.add(commands)
    datasets.add(commands)
    demonstration = commands.add_parser("demo", help="Original and FedAU2 side by side, in a few minutes")
    demonstration.add_argument(
        "--out", type=arguments.folder, default=Path("runs/demo"), help="folder of the results (%(default)s)"
    )
    demonstration.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    demonstration.set_defaults(command=lambda options, console: demo(options.out, options.data_dir, console))
    bench.add(commands)
    return parser


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("run", help="train and evaluate one configuration into a run folder")
    parser.add_argument("--out", type=arguments.folder, required=True, help="the run folder")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--config", type=Path, help="a run's config.yaml; options given beside it change it")
    Tracking.add(parser)
    flags.add(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace, console: Console) -> None:
    config = flags.configuration(options, options.config)
    if (options.out / "metrics.json").exists():
        console.print(f"{options.out} holds a finished run, which is done again and replaced", markup=False)
    with Tracking.of(options).for_run() as trackers, bars(console) as display:
        metrics = run(config, options.out, options.data_dir, Bar(display, options.out.name), trackers)
    title = f"{html.title(config)}, {config.engine.rounds} rounds"
    console.print(results({f"adversary {config.adversary}": metrics}, title))
    console.print(f"Report, plots and metrics: {options.out}/", markup=False)
