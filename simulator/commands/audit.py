"""`fedau2-sim audit`: trains a configuration, attacks it, prints one table, and holds bounds."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fedau2 import plugins
from simulator.audit import bounds
from simulator.audit.request import ATTACKS, PRIVATE, VIEWS, Request
from simulator.commands.printing import notes
from simulator.config import arguments, flags
from simulator.errors import ConfigError
from simulator.experiment import lock

if TYPE_CHECKING:
    from rich.console import Console

_NONE = "none"


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "of",
        nargs="?",
        type=Path,
        metavar="RUN|CONFIG",
        help="a run's folder or config.yaml; it is trained (again), unless it kept its state",
    )
    parser.add_argument("--out", type=arguments.folder, required=True, help="folder of the results")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    names = f"{', '.join((*ATTACKS, *plugins.names('attacks')))}, {PRIVATE}, {_NONE}"
    parser.add_argument("--attacks", type=arguments.names, help=f"which, with commas: {names} (all)")
    parser.add_argument(
        "--participations",
        type=_counts,
        default=(1, 5, 10, 20, 100),
        help="contributions of a client after which attacks are asked (1,5,10,20,100)",
    )
    parser.add_argument("--clients", type=int, default=200, help="most watched clients of each class (%(default)s)")
    parser.add_argument(
        "--view", choices=VIEWS, default="chosen", help="where the server's view is taken (%(default)s)"
    )
    parser.add_argument("--sums-of", type=_counts, default=(), help="attack sums over groups of so many clients: 10,94")
    parser.add_argument("--fixed-sums-of", type=_counts, default=(), help="the same, groups fixed once and for all")
    parser.add_argument(
        "--sums-rounds", type=_counts, default=(100, 400), help="rounds that attacks on sums have (100,400)"
    )
    parser.add_argument("--splits", type=int, default=10, help="of attackers that learn (%(default)s)")
    parser.add_argument(
        "--bound",
        type=bounds.parse,
        action="append",
        default=[],
        metavar="NAME=SUCCESS",
        help=f"exit with 3 if an attack of this name, of a group ({', '.join(bounds.GROUPS)}) or of all does better",
    )
    parser.add_argument("--json", action="store_true", help="print audit.json")
    flags.add(parser)
    parser.set_defaults(command=_command)


def _counts(text: str) -> tuple[int, ...]:
    counts = sorted(set(arguments.numbers(text)))
    if counts[0] < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers from 1 on with commas between them")
    return tuple(counts)


def _command(options: argparse.Namespace, console: "Console") -> None:
    from simulator.experiment import resources  # here, because PyTorch takes seconds to load

    request = _request(options)
    resources.prepare()
    with lock.hold(request.folder):
        _audit(request, options, console)


def _audit(request: Request, options: argparse.Namespace, console: "Console") -> None:
    from simulator.audit import accounting, planning, report
    from simulator.audit.audit import audit
    from simulator.experiment import resume
    from simulator.reporting.terminal import Bar, bars

    with bars(notes(options, console)) as display:
        result = audit(request, Bar(display, request.folder.name))
    sentences = [*result.facts.sentences(), *result.on_sums, *accounting.notes(result.plan, request.participations)]
    if missing := planning.reasons(result.not_run):
        sentences = [missing, *sentences]
    report.write(result, shlex.join(["fedau2-sim", *sys.argv[1:]]), sentences)
    resume.discard(request.folder)
    if options.json:
        print((request.folder / "audit.json").read_text("utf-8"))
    else:
        console.print(report.table(result))
        for text in (*report.summary(result), *sentences):
            console.print(text, markup=False)
        console.print(f"Report, plot and figures: {request.folder}/audit.html, .png, .json", markup=False)
    if not result.findings:
        raise ConfigError("the audit found nothing: no watched client contributed often enough")
    bounds.check(request.bounds, result.findings, result.unmeasured)


def _request(options: argparse.Namespace) -> Request:
    from simulator.attacks.sums import Sums
    from simulator.audit import registry
    from simulator.experiment import resume

    path = options.of / resume.CONFIG if options.of and options.of.is_dir() else options.of
    config = flags.configuration(options, path)
    if options.clients < 1 or options.splits < 1:
        raise ConfigError("clients and splits must be numbers from 1 on")
    of_run = options.of and options.of.is_dir() and not resume.other_settings(options.of, config)
    names = options.attacks
    wanted = [name for name in names or () if name not in (PRIVATE, _NONE)]
    return Request(
        config=config,
        folder=options.out,
        data_dir=options.data_dir,
        specs=registry.chosen(None if names is None else wanted),
        private=names is None or PRIVATE in names,
        sums=[*(Sums(size) for size in options.sums_of), *(Sums(size, fixed=True) for size in options.fixed_sums_of)],
        sums_rounds=options.sums_rounds,
        participations=options.participations,
        clients=options.clients,
        view=options.view,
        splits=options.splits,
        named=names is not None,
        bounds=bounds.smallest(options.bound),
        again=options.of if of_run else None,
    )
