"""`fedau2-sim calibrate`: measures contributions, and writes the policy of secure sums that fits them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from simulator.config import arguments, flags

if TYPE_CHECKING:
    from export.sums import Policy
    from simulator.experiment.calibration import Calibration


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--out", type=arguments.folder, required=True, help="folder of the policy, sums.yaml")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--config", type=Path, help="a run's config.yaml; options given beside it change it")
    flags.add(parser)
    parser.set_defaults(command=_calibrate)


def _calibrate(options: argparse.Namespace, console: Console) -> None:
    from export import sums  # here, because PyTorch takes seconds to load
    from fedau2 import files
    from simulator.experiment import assembly, checks, hiding, resources
    from simulator.experiment.parts import Parts
    from simulator.reporting.terminal import Bar, bars

    config = flags.configuration(options, options.config)
    resources.prepare()
    dataset = assembly.dataset_of(config.data, config.engine.seed, options.data_dir)
    dataset = assembly.with_positives(dataset, config.plan, config.evaluation.split)
    checks.check(config, dataset)
    parts = Parts.of(config, dataset)
    hiding.expect_cohort(config.engine, len(parts.split.train))
    options.out.mkdir(parents=True, exist_ok=True)
    with bars(console) as display:
        measured = hiding.measure(config.engine, parts, options.out, Bar(display, options.out.name))
    policy = measured.policy(config.engine, parts.bundle.manifest)
    path = options.out / sums.FILE
    files.write(path, policy.dump())
    console.print(_table(measured, policy))
    console.print(sums.crowd_line(policy, parts.bundle.manifest.items), markup=False)
    console.print(sums.noise_line(policy, config.evaluation.delta), markup=False)
    console.print(f"Policy: {path}", markup=False)


def _table(measured: "Calibration", policy: "Policy") -> Table:
    """Shows norms over all measured contributions, and the grid that was chosen."""
    columns = ("tensor", "norm, median", "95%", "largest number", "clip", "step", "clip in steps")
    table = Table(title="Contributions by tensor", title_justify="left", box=None, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for name, sizes in sorted(measured.sizes.items()):
        grid = policy.grids[name]
        median, high, largest = sizes.quantile(0.5), sizes.quantile(0.95), sizes.top()
        figures = (median, high, largest, sizes.clip(), 2.0**-grid.exponent)
        table.add_row(name, *(f"{figure:.3g}" for figure in figures), f"{grid.clip:,}")
    return table
