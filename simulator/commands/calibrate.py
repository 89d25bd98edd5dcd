"""`fedau2-sim calibrate`: measures contributions, and writes the policy of secure sums that fits them."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.commands.printing import notes
from simulator.config import arguments, flags

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from export.sums import Policy
    from simulator.experiment.calibration import Calibration


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--out", type=arguments.folder, required=True, help="folder of the policy, sums.yaml")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--config", type=Path, help="a run's config.yaml; options given beside it change it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    flags.add(parser)
    parser.set_defaults(command=_calibrate)


def _calibrate(options: argparse.Namespace, console: "Console") -> None:
    from export import sums  # here, because PyTorch takes seconds to load
    from fedau2 import files
    from simulator.experiment import checks, hiding, resources, run_data
    from simulator.experiment.parts import Parts
    from simulator.reporting.terminal import Bar, bars

    config = flags.configuration(options, options.config)
    resources.prepare()
    dataset = run_data.dataset_of(config.data, config.engine.seed, options.data_dir)
    dataset = run_data.with_positives(dataset, config.plan, config.evaluation.split)
    checks.check(config, dataset)
    parts = Parts.of(config, dataset)
    hiding.expect_cohort(config.engine, len(parts.split.train))
    options.out.mkdir(parents=True, exist_ok=True)
    remarks = notes(options, console)
    with bars(remarks) as display:
        measured = hiding.measure(config.engine, parts, options.out, Bar(display, options.out.name))
    policy = measured.policy(config.engine, parts.bundle.manifest)
    path = options.out / sums.FILE
    files.write(path, policy.dump())
    rows = _rows(measured, policy)
    lines = [
        sums.crowd_line(policy, parts.bundle.manifest.items),
        sums.noise_line(policy, config.evaluation.delta),
    ]
    if options.json:
        print(json.dumps({"policy": str(path), "tensors": rows, "notes": lines}, indent=2))
        return
    console.print(_table(rows))
    for line in (*lines, f"Policy: {path}"):
        console.print(line, markup=False)


def _rows(measured: "Calibration", policy: "Policy") -> list[dict[str, Any]]:
    """Lists norms over all measured contributions, and the grid that was chosen, by tensor."""
    return [
        {
            "tensor": name,
            "norm, median": sizes.quantile(0.5),
            "95%": sizes.quantile(0.95),
            "largest number": sizes.top(),
            "clip": sizes.clip(),
            "step": 2.0 ** -policy.grids[name].exponent,
            "clip in steps": policy.grids[name].clip,
        }
        for name, sizes in sorted(measured.sizes.items())
    ]


def _table(rows: Sequence[Mapping[str, Any]]) -> "Table":
    from rich.table import Table

    table = Table(title="Contributions by tensor", title_justify="left", box=None, pad_edge=False)
    for number, name in enumerate(rows[0]):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else _figure(value) for value in row.values()))
    return table


def _figure(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
