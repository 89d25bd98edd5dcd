"""The command line: `fedau2-coordinator serve`, `create-task`, `status`, `watch` and so on."""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

import grpc

from coordinator.commands import admin, operators_address
from coordinator.errors import CallError, CoordinatorError
from fedau2 import __version__, programs
from fedau2.parser import Parser
from fedau2.wire.errors import WireError

_COMMANDS = (
    ("serve", "commands.flags", "serve devices and operators until SIGTERM"),
    ("create-task", "commands.tasks", "create a task from a bundle and print its id"),
    ("status", "commands.tasks", "show tasks and their open rounds"),
    ("watch", "commands.watch", "show a task's open round at every change, until the task is over"),
    ("rounds", "commands.watch", "show the rounds of a task so far"),
    ("pause", "commands.changes", "take no more check-ins for a task, until it is resumed"),
    ("resume", "commands.changes", "take check-ins for a paused task again"),
    ("replace", "commands.changes", "start a task's successor in its place, at the end of its open round"),
    ("stop", "commands.changes", "end a task for good"),
    ("rollback", "commands.changes", "put a task back to an older model, and begin its open round anew"),
    ("skip-round", "commands.changes", "give up a round whose sum nobody opens, and open the next"),
    ("export", "commands.export", "write a task's newest model as a bundle"),
    ("audit-log", "commands.flags", "check and show the log of the operators' calls"),
    ("certificates", "commands.certificates", "make certificates for a coordinator and its operators"),
    ("backup", "commands.flags", "copy a state folder, also while a coordinator serves from it"),
    ("restore", "commands.flags", "check a backup, and make a state folder of it"),
    ("fetch", "commands.flags", "make a state folder of what several coordinators keep in an object store"),
    ("doctor", "commands.flags", "examine a state folder while no coordinator uses it"),
    ("dashboard", "commands.dashboard", "serve a web page on which operators look at tasks, pause and stop them"),
    ("bench", "bench.cli", "measure the load that a coordinator can carry on this machine"),
)
"""Name, module and meaning of each command. Its module's function `add_<name>` adds its flags."""


def main(argv: list[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 if it succeeded, 1 if it failed, 130 after Ctrl-C. Standard error has the reason of a failure.
    """
    return programs.run("fedau2-coordinator", "coordinator", lambda: _run(argv))


def _run(argv: list[str] | None) -> int:
    words = sys.argv[1:] if argv is None else argv
    args = _parser(words).parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        code: int = args.run(args)
    except grpc.RpcError as error:
        return _failed(CallError(admin.explained(error, operators_address.called(args))))
    except (CoordinatorError, WireError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        return _failed(error)
    return code


def _failed(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr, flush=True)  # operators' scripts look for a line that begins like this
    return programs.FAILED


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Makes the parser. It knows the flags of the command that the words name, whose module alone is loaded."""
    parser = Parser(
        prog="fedau2-coordinator", description="Runs federated rounds: serves devices and keeps their contributions."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    chosen = next((word for word in words if not word.startswith("-")), "")
    for name, module, text in _COMMANDS:
        command = commands.add_parser(name, help=text, description=text)
        if name == chosen:
            getattr(import_module(f"coordinator.{module}"), f"add_{name.replace('-', '_')}")(command)
    return parser
