"""`fedau2-coordinator create-task`, `status`, `pause`, `resume` and `stop`."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from coordinator.commands.admin import TIMEOUT, add_address, as_json, stub
from coordinator.errors import BundleFolderError, CoordinatorError
from coordinator.model.pace import duration
from fedau2.v1 import admin_pb2
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from fedau2.v1.task_pb2 import ClientVersions, ClosingRule
from fedau2.wire import blobs, encodings, manifest


def add_create_task(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `create-task`."""
    parser.set_defaults(run=_create_task)
    add = parser.add_argument
    add(
        "--bundle",
        type=Path,
        required=True,
        metavar="DIR",
        help="bundle, as `fedau2-export bundle` or `fedau2-coordinator export` writes it",
    )
    add("--population", required=True, metavar="NAME", help="population of devices that the task is for")
    add("--rounds", type=_count, required=True, metavar="N", help="number of rounds")
    add("--goal", type=_count, required=True, metavar="N", help="contributions at which a round closes at once")
    add(
        "--minimum",
        type=_count,
        metavar="N",
        help="fewest contributions with which a round closes at its deadline (default: the goal)",
    )
    add(
        "--maximum",
        type=_count,
        metavar="N",
        help="most contributions that one round can ever hold (default: the goal)",
    )
    add(
        "--over-selection",
        type=float,
        default=0.3,
        metavar="X",
        help="devices assigned beyond the goal, as a share of it (default: %(default)s)",
    )
    add(
        "--deadline",
        type=_seconds,
        default=600,
        metavar="SECONDS",
        help="time for an attempt at a round (default: %(default)s)",
    )
    add(
        "--lease",
        type=_seconds,
        default=300,
        metavar="SECONDS",
        help="time from check-in to the end of the upload (default: %(default)s)",
    )
    add(
        "--minimum-version",
        default="",
        metavar="X.Y",
        help="oldest version of the SDK that may take part (default: any)",
    )
    add(
        "--below-version",
        default="",
        metavar="X.Y",
        help="first version of the SDK that may no longer take part (default: none)",
    )
    add(
        "--checkpoints",
        choices=encodings.NAMES,
        default="float32",
        help="smaller encoding in which devices may fetch checkpoints, see docs/operations.md (default: %(default)s)",
    )
    add_address(parser)


def add_status(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `status`."""
    parser.set_defaults(run=_status)
    parser.add_argument("task_id", nargs="?", metavar="TASK", help="id of a task; without it, all tasks are shown")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    add_address(parser)


def add_pause(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `pause`."""
    _add_change(parser, lambda admin, task: admin.PauseTask(admin_pb2.PauseTaskRequest(task_id=task), timeout=TIMEOUT))


def add_resume(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `resume`."""
    _add_change(
        parser, lambda admin, task: admin.ResumeTask(admin_pb2.ResumeTaskRequest(task_id=task), timeout=TIMEOUT)
    )


def add_stop(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `stop`."""
    _add_change(parser, lambda admin, task: admin.StopTask(admin_pb2.StopTaskRequest(task_id=task), timeout=TIMEOUT))
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    parser.set_defaults(confirm="stop task {} for good, and drop its open round?")


def _add_change(parser: argparse.ArgumentParser, call: Callable[[AdminServiceStub, str], admin_pb2.Task]) -> None:
    parser.set_defaults(run=_change, call=call, confirm="", yes=False)
    parser.add_argument("task_id", metavar="TASK", help="the task's id, as create-task printed it")
    add_address(parser)


def _change(args: argparse.Namespace) -> int:
    if args.confirm and not args.yes:
        if not sys.stdin.isatty():
            raise CoordinatorError("standard input is not a terminal, so nobody can confirm: give --yes")
        if input(f"{args.confirm.format(args.task_id)} [y/N] ").strip().lower() not in ("y", "yes"):
            raise CoordinatorError("nothing was changed")
    with stub(args) as admin:
        task = args.call(admin, args.task_id)
    print(f"{task.task_id} {_state(task)}")
    return 0


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e11:
        raise ValueError
    return number


_seconds.__name__ = "number of seconds"  # argparse names it in its error


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number < 2**32:
        raise ValueError
    return number


_count.__name__ = "number from 1 on"  # argparse names it in its error


def _create_task(args: argparse.Namespace) -> int:
    closing = ClosingRule(
        goal=args.goal,
        minimum=args.goal if args.minimum is None else args.minimum,
        maximum=args.goal if args.maximum is None else args.maximum,
        over_selection=args.over_selection,
        deadline=duration(args.deadline),
        lease=duration(args.lease),
    )
    header = admin_pb2.CreateTaskHeader(
        population=args.population,
        rounds=args.rounds,
        closing=closing,
        versions=ClientVersions(minimum=args.minimum_version, below=args.below_version),
        checkpoints=encodings.NAMES[args.checkpoints],
    )
    with stub(args) as admin:
        task = admin.CreateTask(_bundle(args.bundle, header))
    if not manifest.parse(header.manifest).plan.server.clip_norm:
        print(
            "warning: the plan's server.clip_norm is 0, so that a single device can turn the model as far as it likes",
            file=sys.stderr,
        )
    print(task.task_id)
    return 0


def _bundle(folder: Path, header: admin_pb2.CreateTaskHeader) -> Iterator[admin_pb2.CreateTaskRequest]:
    if not (folder / "manifest.binpb").is_file():
        raise BundleFolderError(f"{folder} is not a bundle: it holds no manifest.binpb; build one with fedau2-export")
    header.manifest = (folder / "manifest.binpb").read_bytes()
    requests = [admin_pb2.CreateTaskRequest(header=header)]
    for resource in manifest.blobs(manifest.parse(header.manifest)):
        path = folder / "blobs" / resource.sha256.hex()
        if not path.is_file():
            raise BundleFolderError(f"the bundle is not whole: {path} is missing")
        data = blobs.check(path.read_bytes(), resource)
        parts = (admin_pb2.BlobPart(sha256=resource.sha256, data=piece) for piece in blobs.chunks(data))
        requests += [admin_pb2.CreateTaskRequest(blob=part) for part in parts]
    return iter(requests)


def _status(args: argparse.Namespace) -> int:
    with stub(args) as admin:
        if args.task_id is None:
            tasks = list(admin.ListTasks(admin_pb2.ListTasksRequest(), timeout=TIMEOUT).tasks)
        else:
            tasks = [admin.GetTask(admin_pb2.GetTaskRequest(task_id=args.task_id), timeout=TIMEOUT)]
    if args.json:
        print("\n".join(map(as_json, tasks)), end="\n" if tasks else "")
        return 0
    print(f"{'TASK':16} {'POPULATION':20} {'STATE':8} {'ROUND':>13} {'REPORTED':>11} {'LEASES':>6} CHECKPOINT")
    for task in tasks:
        done, reported = f"{task.round}/{task.rounds}", f"{task.reported}/{task.closing.goal}"
        print(
            f"{task.task_id:16} {task.population:20} {_state(task):8} {done:>13} {reported:>11} {task.live_leases:>6} "
            f"{task.checkpoint.sha256.hex()}"
        )
    return 0


def _state(task: admin_pb2.Task) -> str:
    return admin_pb2.TaskState.Name(task.state).removeprefix("TASK_STATE_").lower()
