"""`fedau2-sim`: runs an experiment, an audit, the demo, or the benchmark, and looks after data sets."""

import sys
from collections.abc import Sequence
from importlib import import_module

from fedau2 import __version__, plugins, programs
from fedau2.parser import Parser
from fedau2.plugins import PluginError
from simulator.errors import BoundPassedError, SimulatorError, explain

COMMANDS = {
    "run": "train and evaluate one configuration into a run folder",
    "recommend": "items for a user of a finished run",
    "attack": "attack the state that a run kept, later or in another way",
    "audit": "measure what a configuration leaks, by attacking it",
    "calibrate": "measure contributions, and write the policy of secure sums that fits them",
    "reproduce": "repeat an experiment of the paper",
    "sweep": "try all combinations of some settings, which a file lists",
    "list": "names of models, presets, attacks and data sets",
    "datasets": "list, fetch, check, describe and import data sets",
    "demo": "Original and FedAU2 side by side, in a few minutes",
    "completion": "what a shell needs to complete commands and options",
    "bench": "what a client costs, against a naive loop in the same run",
}
"""The commands and what they do. Each has a module of its name in this package."""

BOUND_PASSED = 3
"""Exit status of an audit in which an attack passed a bound."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status.

    0; 1 for an error that is explained, 2 for wrong usage, 3 where an audit passes a bound, 130 when interrupted.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return programs.run("fedau2-sim", "simulator", lambda: _run(words), _explain)


def _run(arguments: Sequence[str]) -> int:
    words = plugins.taken(arguments)
    options = _parser(words).parse_args(words)
    from rich.console import Console  # here, because help does not need it

    try:
        options.command(options, Console(quiet=options.quiet))
    except BoundPassedError as error:
        print(f"fedau2-sim: {error}", file=sys.stderr)
        return BOUND_PASSED
    return 0


def _explain(error: Exception) -> str | None:
    from client_sdk.errors import FedError  # here, because help does not need the wire
    from coordinator.errors import CoordinatorError
    from export.errors import ExportError
    from fedau2.wire.errors import WireError

    ours = (SimulatorError, ExportError, CoordinatorError, WireError, FedError, PluginError, OSError)
    return explain(error) if isinstance(error, ours) else None


def _parser(arguments: Sequence[str]) -> Parser:
    """Makes the parser. It knows the options of the command that the arguments name, whose module alone is loaded."""
    parser = Parser(prog="fedau2-sim", description="Simulates federated attribute unlearning.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    chosen = next((word for word in arguments if not word.startswith("-")), "")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name == chosen:
            _fill(command, name)
    return parser


def parser_of(name: str) -> Parser:
    """Makes the parser of one of `COMMANDS`."""
    parser = Parser(prog=f"fedau2-sim {name}")
    _fill(parser, name)
    return parser


def _fill(parser: Parser, name: str) -> None:
    import_module(f"simulator.commands.{name}").add(parser)
    parser.add_switch("-q", "--quiet", text="print nothing but errors and --json")
    parser.add_argument(plugins.OPTION, metavar="MODULE", help=plugins.HELP)
