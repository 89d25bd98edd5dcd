"""`fedau2-coordinator create-task`, `status`, `pause`, `resume`, `stop` and `rollback`."""

import argparse
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from coordinator.commands import bundles, secure_sums
from coordinator.commands.admin import TIMEOUT, add_address, as_json, stub
from coordinator.model.pace import duration
from fedau2.v1 import admin_pb2, task_pb2
from fedau2.v1.admin_pb2 import CreateTaskRequest
from fedau2.v1.task_pb2 import ClientVersions, ClosingRule
from fedau2.wire import encodings, leases, manifest, releases

_AGGREGATIONS = {
    "mean": task_pb2.AGGREGATION_UNSPECIFIED,
    "median": task_pb2.AGGREGATION_MEDIAN,
    "trimmed-mean": task_pb2.AGGREGATION_TRIMMED_MEAN,
}


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
        "--aggregation",
        choices=tuple(_AGGREGATIONS),
        default="mean",
        help="how contributions are combined; the others keep a round's contributions in memory (default: %(default)s)",
    )
    add(
        "--trim",
        type=float,
        default=0.0,
        metavar="X",
        help="share of the values left out at either end of a trimmed mean, above 0 and below 0.5",
    )
    add(
        "--deadline",
        type=_seconds,
        metavar="SECONDS",
        help="time for an attempt at a round (default: twice the lease, and at least 600)",
    )
    add(
        "--lease",
        type=_seconds,
        metavar="SECONDS",
        help="time from check-in to the end of the upload (default: what the bundle needs at 32 kB/s, at least 300)",
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
    add_touched_rows(parser)
    add_address(parser)


def add_touched_rows(parser: argparse.ArgumentParser) -> None:
    """Adds `--touched-rows`."""
    parser.add_argument(
        "--touched-rows",
        type=_rows,
        default=0.0,
        metavar="N",
        help="catalogue rows that a device touches, as `fedau2-sim calibrate` measured it; needed by a policy of "
        "secure sums that opens every row without noise",
    )


def add_status(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `status`."""
    parser.set_defaults(run=_status)
    parser.add_argument("task_id", nargs="?", metavar="TASK", help="id of a task; without it, all tasks are shown")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    add_address(parser)


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e11:
        raise ValueError
    return number


_seconds.__name__ = "number of seconds"  # argparse names it in its error


def _rows(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e11:
        raise ValueError
    return number


_rows.__name__ = "number of rows"


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number < 2**32:
        raise ValueError
    return number


_count.__name__ = "number from 1 on"  # argparse names it in its error


def _create_task(args: argparse.Namespace) -> int:
    bundle, parts = bundles.read(args.bundle)
    task_manifest = manifest.parse(bundle)
    lease = leases.lease(task_manifest) if args.lease is None else args.lease
    closing = ClosingRule(
        goal=args.goal,
        minimum=args.goal if args.minimum is None else args.minimum,
        maximum=args.goal if args.maximum is None else args.maximum,
        over_selection=args.over_selection,
        deadline=duration(leases.deadline(lease) if args.deadline is None else args.deadline),
        lease=duration(lease),
        aggregation=_AGGREGATIONS[args.aggregation],
        trim=args.trim,
    )
    header = admin_pb2.CreateTaskHeader(
        population=args.population,
        manifest=bundle,
        rounds=args.rounds,
        closing=closing,
        versions=ClientVersions(minimum=args.minimum_version, below=args.below_version),
        touched_rows=args.touched_rows,
        checkpoints=encodings.NAMES[args.checkpoints],
    )
    with stub(args) as admin:
        requests = chain([CreateTaskRequest(header=header)], (CreateTaskRequest(blob=part) for part in parts))
        task = admin.CreateTask(requests)
    if task_manifest.HasField("release"):
        print(f"devices of its publisher take the bundle {releases.end(task_manifest.release)}", file=sys.stderr)
    print(f"lease {lease:.0f} s, deadline {closing.deadline.seconds} s", file=sys.stderr)
    if task_manifest.HasField("secure_sums"):
        print(secure_sums.warning(task_manifest, args.touched_rows), file=sys.stderr)
    elif not task_manifest.plan.server.clip_norm:
        print(
            "warning: the plan's server.clip_norm is 0, so that a single device can turn the model as far as it likes",
            file=sys.stderr,
        )
    print(task.task_id)
    return 0


def _status(args: argparse.Namespace) -> int:
    with stub(args) as admin:
        if args.task_id is None:
            tasks = list(admin.ListTasks(admin_pb2.ListTasksRequest(), timeout=TIMEOUT).tasks)
        else:
            tasks = [admin.GetTask(admin_pb2.GetTaskRequest(task_id=args.task_id), timeout=TIMEOUT)]
    if args.json:
        print("\n".join(map(as_json, tasks)), end="\n" if tasks else "")
        return 0
    print(
        f"{'TASK':16} {'POPULATION':20} {'STATE':8} {'ROUND':>13} {'REPORTED':>11} {'LEASES':>6} {'KEPT':>9} CHECKPOINT"
    )
    for task in tasks:
        done, reported = f"{task.round}/{task.rounds}", f"{task.reported}/{task.closing.goal}"
        print(
            f"{task.task_id:16} {task.population:20} {state_of(task):8} {done:>13} {reported:>11} "
            f"{task.live_leases:>6} {_ranges(task.kept_rounds):>9} {task.checkpoint.sha256.hex()}"
        )
        if task.HasField("secure_sums"):
            print(secure_sums.describe(task))
    return 0


def _ranges(numbers: Sequence[int]) -> str:
    """Writes ascending numbers, and those that follow each other as ranges: `2-5,7`. Without any it is `-`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] + 1 == number:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs) or "-"


def state_of(task: admin_pb2.Task) -> str:
    """Returns the word for a task's state."""
    return admin_pb2.TaskState.Name(task.state).removeprefix("TASK_STATE_").lower()
