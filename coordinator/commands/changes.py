"""`fedau2-coordinator pause`, `resume`, `replace`, `stop`, `rollback` and `skip-round`."""

import argparse
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from google.protobuf.message import Message

from coordinator.commands import bundles
from coordinator.commands.admin import TIMEOUT, add_address, stub
from coordinator.commands.tasks import add_touched_rows, state_of
from coordinator.errors import CoordinatorError
from fedau2.v1 import admin_pb2
from fedau2.v1.admin_pb2 import ReplaceTaskHeader, ReplaceTaskRequest


def add_pause(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `pause`."""
    _add_change(parser, lambda args: ("PauseTask", admin_pb2.PauseTaskRequest(task_id=args.task_id)))


def add_resume(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `resume`."""
    _add_change(parser, lambda args: ("ResumeTask", admin_pb2.ResumeTaskRequest(task_id=args.task_id)))


def add_replace(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `replace`."""
    parser.set_defaults(run=_replace)
    parser.add_argument("task_id", metavar="TASK", help="id of the running task")
    parser.add_argument(
        "--bundle",
        type=Path,
        required=True,
        metavar="DIR",
        help="bundle that goes on from the task's, as `fedau2-export bundle --from` builds it",
    )
    add_touched_rows(parser)
    add_address(parser)


def add_stop(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `stop`."""
    _add_change(
        parser,
        lambda args: ("StopTask", admin_pb2.StopTaskRequest(task_id=args.task_id)),
        "stop task {task_id} for good, and drop its open round?",
    )


def add_rollback(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `rollback`."""
    _add_change(
        parser,
        lambda args: ("RollBackTask", admin_pb2.RollBackTaskRequest(task_id=args.task_id, round=args.to)),
        "put task {task_id} back to its model after {to} rounds, remove newer ones, and give the open round's "
        "contributions up?",
    )
    parser.add_argument(
        "--to",
        type=_round,
        required=True,
        metavar="ROUND",
        help="number of committed rounds after which the model was the newest; `status` lists those that are kept",
    )


def add_skip_round(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `skip-round`."""
    _add_change(
        parser,
        lambda args: ("SkipRound", admin_pb2.SkipRoundRequest(task_id=args.task_id, round=args.round)),
        "skip round {round} of task {task_id}, and give its contributions up?",
    )
    parser.add_argument("round", type=_round, metavar="ROUND", help="number of the open round, as `status` shows it")


def _add_change(
    parser: argparse.ArgumentParser, call: Callable[[argparse.Namespace], tuple[str, Message]], confirm: str = ""
) -> None:
    parser.set_defaults(run=_change, call=call, confirm=confirm, yes=False)
    if confirm:
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    parser.add_argument("task_id", metavar="TASK", help="the task's id, as create-task printed it")
    add_address(parser)


def _change(args: argparse.Namespace) -> int:
    if args.confirm and not args.yes:
        if not sys.stdin.isatty():
            raise CoordinatorError("standard input is not a terminal, so nobody can confirm: give --yes")
        if input(f"{args.confirm.format_map(vars(args))} [y/N] ").strip().lower() not in ("y", "yes"):
            raise CoordinatorError("nothing was changed")
    with stub(args) as admin:
        name, request = args.call(args)
        task = getattr(admin, name)(request, timeout=TIMEOUT)
    print(f"{task.task_id} {state_of(task)}")
    return 0


def _replace(args: argparse.Namespace) -> int:
    bundle, parts = bundles.read(args.bundle)
    header = ReplaceTaskHeader(task_id=args.task_id, manifest=bundle, touched_rows=args.touched_rows)
    requests = chain([ReplaceTaskRequest(header=header)], (ReplaceTaskRequest(blob=part) for part in parts))
    print("the successor starts when the open round has ended; until then Ctrl-C changes nothing", file=sys.stderr)
    with stub(args) as admin:
        task = admin.ReplaceTask(requests)
    print(task.task_id)
    return 0


def _round(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError
    return number


_round.__name__ = "number of rounds"
