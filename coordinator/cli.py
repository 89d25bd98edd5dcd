"""The command line: `fedau2-coordinator serve`, `create-task`, `status`, `watch` and so on."""

import argparse
import logging
import sys

import grpc

from coordinator.bench.cli import add_bench
from coordinator.commands import admin, changes, export, serve, tasks, watch
from coordinator.commands.certificates import add_certificates
from coordinator.commands.doctor import add_doctor
from coordinator.commands.operations import add_audit_log
from coordinator.errors import CallError, CoordinatorError
from fedau2 import __version__, programs
from fedau2.wire.errors import WireError

_COMMANDS = (
    ("serve", serve.add_serve, "serve devices and operators until SIGTERM"),
    ("create-task", tasks.add_create_task, "create a task from a bundle and print its id"),
    ("status", tasks.add_status, "show tasks and their open rounds"),
    ("watch", watch.add_watch, "show a task's open round at every change, until the task is over"),
    ("rounds", watch.add_rounds, "show the rounds of a task so far"),
    ("pause", changes.add_pause, "take no more check-ins for a task, until it is resumed"),
    ("resume", changes.add_resume, "take check-ins for a paused task again"),
    ("replace", changes.add_replace, "start a task's successor in its place, at the end of its open round"),
    ("stop", changes.add_stop, "end a task for good"),
    ("rollback", changes.add_rollback, "put a task back to an older model, and begin its open round anew"),
    ("export", export.add_export, "write a task's newest model as a bundle"),
    ("audit-log", add_audit_log, "check and show the log of the operators' calls"),
    ("certificates", add_certificates, "make certificates for a coordinator and its operators"),
    ("doctor", add_doctor, "examine a state folder while no coordinator uses it"),
    ("bench", add_bench, "measure the load that a coordinator can carry on this machine"),
)


def main(argv: list[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 if it succeeded, 1 if it failed, 130 after Ctrl-C. Standard error has the reason of a failure.
    """
    return programs.run("fedau2-coordinator", "coordinator", lambda: _run(argv))


def _run(argv: list[str] | None) -> int:
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        code: int = args.run(args)
    except grpc.RpcError as error:
        return _failed(CallError(admin.explained(error, args.admin)))
    except (CoordinatorError, WireError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        return _failed(error)
    return code


def _failed(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr, flush=True)  # operators' scripts look for a line that begins like this
    return programs.FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedau2-coordinator", description="Runs federated rounds: serves devices and keeps their contributions."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, add, text in _COMMANDS:
        add(commands.add_parser(name, help=text, description=text))
    return parser
