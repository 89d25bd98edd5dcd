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
        choices=["none", "model"],
        default="model",
        help="what is kept of the trained tensors: the shared model, from which `fedau2-export bundle --from` goes on, "
        "or none (%(default)s)",
    )
    Tracking.add(parser)
    flags.add(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace, console: Console) -> None:
    from simulator.experiment import promise, resources  # here, because PyTorch takes seconds to load
    from simulator.experiment.run import run
    from simulator.reporting import html
    from simulator.reporting.terminal import Bar, bars, results

    config = flags.configuration(options, options.config)
    if (options.out / "metrics.json").exists():
        console.print(f"{options.out} holds a finished run, which is done again and replaced", markup=False)
    resources.prepare()
    with Tracking.of(options).for_run() as trackers, bars(console) as display:
        bar = Bar(display, options.out.name)
        metrics = run(config, options.out, options.data_dir, bar, trackers, keep=options.keep == "model")
    title = f"{html.title(config)}, {config.engine.rounds} rounds"
    console.print(results({f"adversary {config.adversary}": metrics}, title))
    for text in promise.sentences(metrics):
        console.print(text, markup=False)
    console.print(f"Report, plots and metrics: {options.out}/", markup=False)
