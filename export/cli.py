"""`fedau2-export`: builds, shows, signs and checks bundles.

The exit code is 0 if the command succeeded, 1 if it failed, 2 for wrong usage, and 130 after Ctrl-C.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from export import commands
from export.defaults import DAYS
from export.errors import ExportError
from fedau2 import __version__, plugins, programs
from fedau2.parser import Parser
from fedau2.plugins import PluginError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `fedau2-export` with these arguments, by default those of the process; returns the exit code.

    Raises:
        SystemExit: wrong usage (code 2) or --help (code 0).
    """
    return programs.run("fedau2-export", "export", lambda: _run(argv), _explain)


def _run(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(plugins.taken(sys.argv[1:] if argv is None else argv))
    figures = _printed(arguments.run(arguments), silent=arguments.quiet or arguments.json)
    if arguments.json:
        print(json.dumps(figures, indent=2))
    return 0


def _printed(lines: commands.Lines, *, silent: bool) -> Mapping[str, Any]:
    """Runs a command: prints its lines as they come, unless it is silent, and returns its figures."""
    while True:
        try:
            line = next(lines)
        except StopIteration as end:
            figures: Mapping[str, Any] = end.value
            return figures
        if not silent:
            print(line, flush=True)


def _explain(error: Exception) -> str | None:
    return str(error) if isinstance(error, ExportError | PluginError) else None


def _parser() -> Parser:
    parser = Parser(prog="fedau2-export", description="Builds, shows, signs and checks task bundles.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(plugins.OPTION, metavar="MODULE", help=plugins.HELP)
    actions = parser.add_subparsers(required=True, metavar="COMMAND")
    build = actions.add_parser("bundle", help="build a bundle")
    build.add_argument("--model", help="the recommender, for example fedncf, where the plan names none")
    build.add_argument(
        "--plan", type=Path, metavar="FILE", help="plan file, YAML (docs/plans.md) (with --from: the ancestor's plan)"
    )
    source = build.add_mutually_exclusive_group()
    source.add_argument(
        "--from",
        dest="ancestor",
        type=Path,
        metavar="FOLDER",
        help="bundle to go on from, also as `fedau2-coordinator export` writes it, or a fedau2-sim run that kept its "
        "model: what is trained is taken over item by item (docs/successors.md)",
    )
    source.add_argument(
        "--from-run",
        type=Path,
        metavar="RUN",
        help="folder of a fedau2-sim run: its plan and its items. The checkpoint is not the run's, but an untrained "
        "one drawn from --seed; for the trained one give --from",
    )
    build.add_argument(
        "--items",
        type=Path,
        metavar="FILE",
        help="item ids: UTF-8, one id per line (with --from-run or --from: those of the run or of the ancestor)",
    )
    build.add_argument(
        "--features",
        type=Path,
        metavar="FILE",
        help="with --from: CSV of an item id and numbers a line, by which new items begin with predicted rows",
    )
    build.add_argument("--seed", type=int, required=True, help="seed of the initial checkpoint, or of its new rows")
    build.add_argument(
        "--precision",
        choices=["fp32", "fp16"],
        default="fp32",
        help="type of item tensors in a device's memory (%(default)s)",
    )
    build.add_argument(
        "--sums",
        type=Path,
        metavar="FILE",
        help="policy of secure sums, as `fedau2-sim calibrate` writes it (docs/secure-sums.md)",
    )
    build.add_argument(
        "--unmasker",
        type=Path,
        metavar="FILE",
        help="with --sums: public key (PEM) of the unmasker that may open sums",
    )
    build.add_argument("--key", type=Path, metavar="FILE", help="sign the bundle with this private key of a publisher")
    _add_terms(build)
    build.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the bundle; it must be new or empty"
    )
    build.set_defaults(run=commands.bundle, refuse=build.error)
    for name, run, text in (
        ("inspect", commands.inspect, "show a bundle"),
        ("verify", commands.verify, "check a bundle"),
    ):
        command = actions.add_parser(name, help=text)
        command.add_argument("folder", type=Path, metavar="DIR", help="the bundle's folder")
        command.set_defaults(run=run)
        if name == "verify":
            command.add_argument(
                "--key", type=Path, metavar="FILE", help="public key of the publisher that must have signed the bundle"
            )
    _add_signing(actions)
    bench = actions.add_parser("bench", help="measure training graphs beside PyTorch")
    bench.add_argument("--steps", type=int, default=1000, help="local steps to compare (%(default)s)")
    bench.add_argument("--repeats", type=int, default=100, help="repeats of every timing (%(default)s)")
    bench.set_defaults(run=commands.bench)
    parser.add_switch("-q", "--quiet", text="print nothing but errors and --json")
    parser.add_switch("--json", text="print JSON")
    return parser


def _add_signing(actions: "argparse._SubParsersAction[Parser]") -> None:
    keygen = actions.add_parser("keygen", help="make a publisher's key")
    keygen.add_argument(
        "name", type=Path, metavar="NAME", help="the command writes NAME.key, which is secret, and NAME.pub"
    )
    keygen.set_defaults(run=commands.keygen)
    sign = actions.add_parser("sign", help="sign a bundle")
    sign.add_argument("folder", type=Path, metavar="DIR", help="the bundle's folder")
    sign.add_argument("--key", type=Path, required=True, metavar="FILE", help="the publisher's private key")
    _add_terms(sign)
    sign.set_defaults(run=commands.sign)


def _add_terms(parser: Parser) -> None:
    parser.add_argument(
        "--population",
        metavar="NAME",
        help="population whose devices may run the signed bundle (default: the one that it was signed for before)",
    )
    parser.add_argument(
        "--sequence",
        type=int,
        metavar="N",
        help="number by which devices know that a signed bundle is older than another (default: seconds since 1970)",
    )
    parser.add_argument(
        "--days",
        type=int,
        default=DAYS,
        metavar="N",
        help="days for which devices take the signed bundle; 0: for ever (default: %(default)s)",
    )
