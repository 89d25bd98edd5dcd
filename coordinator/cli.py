"""The command line: `fedau2-coordinator serve`, `create-task`, `doctor`, `status`."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc

from coordinator.doctor import add_doctor
from coordinator.errors import BundleFolderError, CoordinatorError
from coordinator.pace import duration
from coordinator.server import Servers, Tls
from coordinator.service import Coordinator
from fedau2.v1 import admin_pb2
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from fedau2.v1.task_pb2 import ClosingRule
from fedau2.wire import blobs, manifest
from fedau2.wire.errors import WireError

_ADMIN = "127.0.0.1:8644"


def main(argv: list[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 if it succeeded, 1 if not, with the reason on standard error.
    """
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        code: int = args.run(args)
        return code
    except grpc.RpcError as error:
        print(_explained(error, args.admin), file=sys.stderr)
    except (CoordinatorError, WireError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedau2-coordinator", description="Runs federated rounds: serves devices and keeps their contributions."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="serve devices and operators until SIGTERM"))
    _add_create_task(commands.add_parser("create-task", help="create a task from a bundle and print its id"))
    add_doctor(commands.add_parser("doctor", help="examine a state folder that no coordinator uses"))
    _add_status(commands.add_parser("status", help="show tasks and their rounds"))
    return parser


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_serve)
    add = parser.add_argument
    add("--state", type=Path, required=True, metavar="DIR", help="folder of everything that must last; made if missing")
    add("--listen", default="127.0.0.1:8643", metavar="HOST:PORT", help="address for devices (%(default)s)")
    add("--admin", default=_ADMIN, metavar="HOST:PORT", help="address for operators, never for devices (%(default)s)")
    add("--database", metavar="URL", help="SQLAlchemy URL of the ledger (SQLite in the state folder)")
    add("--tls-certificate", type=Path, metavar="FILE", help="PEM certificate chain of the device address (plaintext)")
    add("--tls-key", type=Path, metavar="FILE", help="PEM key of the certificate")


def _add_create_task(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_create_task)
    add = parser.add_argument
    add("--bundle", type=Path, required=True, metavar="DIR", help="bundle, as fedau2-export writes it")
    add("--population", required=True, metavar="NAME", help="the devices that the task is for")
    add("--rounds", type=_count, required=True, metavar="N", help="rounds to commit")
    add("--goal", type=_count, required=True, metavar="N", help="contributions at which a round closes at once")
    add("--minimum", type=_count, metavar="N", help="fewest with which it closes at its deadline (the goal)")
    add("--maximum", type=_count, metavar="N", help="most that one round can ever hold (the goal)")
    add("--over-selection", type=float, default=0.3, metavar="X", help="devices beyond the goal, a share (%(default)s)")
    add("--deadline", type=_seconds, default=600, metavar="SECONDS", help="of an attempt at a round (%(default)s)")
    add("--lease", type=_seconds, default=300, metavar="SECONDS", help="from check-in to upload (%(default)s)")
    add("--admin", default=_ADMIN, metavar="HOST:PORT", help="the coordinator's address for operators (%(default)s)")


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e11:
        raise ValueError
    return number


_seconds.__name__ = "number of seconds"  # what argparse says of a wrong one


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number < 2**32:
        raise ValueError
    return number


_count.__name__ = "number from 1 on"  # what argparse says of a wrong one


def _add_status(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_status)
    parser.add_argument("task_id", nargs="?", metavar="TASK_ID", help="one task only")
    parser.add_argument(
        "--admin", default=_ADMIN, metavar="HOST:PORT", help="the coordinator's address for operators (%(default)s)"
    )


def _serve(args: argparse.Namespace) -> int:
    if (args.tls_certificate is None) != (args.tls_key is None):
        raise CoordinatorError("--tls-certificate and --tls-key go together")
    tls = None if args.tls_key is None else Tls(args.tls_certificate, args.tls_key)
    if not _is_loopback(args.admin):
        raise CoordinatorError(
            f"--admin {args.admin}: operators are served on loopback only, in plaintext; use a tunnel"
        )
    if tls is None and not _is_loopback(args.listen):
        raise CoordinatorError(
            f"--listen {args.listen}: other addresses than loopback need --tls-certificate and --tls-key"
        )
    return asyncio.run(_serve_until_told(args, tls))


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.") or address.startswith("unix:")


async def _serve_until_told(args: argparse.Namespace, tls: Tls | None) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with await Coordinator.open(args.state, database=args.database) as coordinator:
        servers = await Servers.start(coordinator, args.listen, args.admin, tls)
        print(f"serving devices on {servers.devices}", flush=True)
        print(f"serving admin on {servers.admin}", flush=True)
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(coordinator.failed())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        await servers.stop()
    if coordinator.failure is not None:
        print(f"error: stopped, because writing failed: {coordinator.failure}", file=sys.stderr)
    return 0 if coordinator.failure is None else 1


def _create_task(args: argparse.Namespace) -> int:
    closing = ClosingRule(
        goal=args.goal,
        minimum=args.goal if args.minimum is None else args.minimum,
        maximum=args.goal if args.maximum is None else args.maximum,
        over_selection=args.over_selection,
        deadline=duration(args.deadline),
        lease=duration(args.lease),
    )
    header = admin_pb2.CreateTaskHeader(population=args.population, rounds=args.rounds, closing=closing)
    with grpc.insecure_channel(args.admin) as channel:
        task = AdminServiceStub(channel).CreateTask(_bundle(args.bundle, header))
    print(task.task_id)
    return 0


def _bundle(folder: Path, header: admin_pb2.CreateTaskHeader) -> Iterator[admin_pb2.CreateTaskRequest]:
    if not (folder / "manifest.binpb").is_file():
        raise BundleFolderError(f"{folder} is no bundle: it holds no manifest.binpb; build one with fedau2-export")
    header.manifest = (folder / "manifest.binpb").read_bytes()
    requests = [admin_pb2.CreateTaskRequest(header=header)]
    for resource in manifest.blobs(manifest.parse(header.manifest)):
        path = folder / "blobs" / resource.sha256.hex()
        if not path.is_file():
            raise BundleFolderError(f"the bundle is not complete: {path} is missing")
        data = blobs.check(path.read_bytes(), resource)
        parts = (admin_pb2.BlobPart(sha256=resource.sha256, data=piece) for piece in blobs.chunks(data))
        requests += [admin_pb2.CreateTaskRequest(blob=part) for part in parts]
    return iter(requests)


def _status(args: argparse.Namespace) -> int:
    with grpc.insecure_channel(args.admin) as channel:
        stub = AdminServiceStub(channel)
        if args.task_id is None:
            tasks = list(stub.ListTasks(admin_pb2.ListTasksRequest(), timeout=10).tasks)
        else:
            tasks = [stub.GetTask(admin_pb2.GetTaskRequest(task_id=args.task_id), timeout=10)]
    print(f"{'TASK':16} {'POPULATION':20} {'STATE':8} {'ROUND':>13} {'REPORTED':>11} {'LEASES':>6} CHECKPOINT")
    for task in tasks:
        state = admin_pb2.TaskState.Name(task.state).removeprefix("TASK_STATE_").lower()
        done, reported = f"{task.round}/{task.rounds}", f"{task.reported}/{task.closing.goal}"
        print(
            f"{task.task_id:16} {task.population:20} {state:8} {done:>13} {reported:>11} {task.live_leases:>6} "
            f"{task.checkpoint.sha256.hex()}"
        )
    return 0


def _explained(error: grpc.RpcError, admin: str) -> str:
    if error.code() == grpc.StatusCode.UNAVAILABLE:
        return f"error: no coordinator answers on {admin}: is `fedau2-coordinator serve` running? ({error.details()})"
    return f"error: {error.details()}"
