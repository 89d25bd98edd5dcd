"""`fedau2-coordinator watch` and `rounds`."""

import argparse
import sys
import time
from collections.abc import Iterator

import grpc

from coordinator.commands.admin import TIMEOUT, add_address, as_json, stub
from fedau2.v1 import admin_pb2
from fedau2.v1.admin_pb2 import Round, RoundState

_AGAIN = 1.0
"""Seconds between two attempts to reach a coordinator that went away."""


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `watch`."""
    parser.set_defaults(run=_watch)
    _add(parser)


def add_rounds(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `rounds`."""
    parser.set_defaults(run=_rounds)
    _add(parser)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="first round to show (default: %(default)s)")


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task_id", metavar="TASK", help="the task's id, as create-task printed it")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    add_address(parser)


def _watch(args: argparse.Namespace) -> int:
    reached = False
    while True:
        try:
            for change in _changes(args):
                reached = True
                _print(change, args.json)
            return 0
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE or not reached:
                raise
            print("the coordinator is away; waiting for it", file=sys.stderr, flush=True)
            time.sleep(_AGAIN)


def _changes(args: argparse.Namespace) -> Iterator[Round]:
    with stub(args) as admin:
        yield from admin.WatchRounds(admin_pb2.WatchRoundsRequest(task_id=args.task_id))


def _rounds(args: argparse.Namespace) -> int:
    first = args.first
    with stub(args) as admin:
        while page := admin.ListRounds(
            admin_pb2.ListRoundsRequest(task_id=args.task_id, first=first), timeout=TIMEOUT
        ).rounds:
            for past_round in page:
                _print(past_round, args.json)
            first = page[-1].round + 1
    return 0


def _print(message: Round, as_object: bool) -> None:
    if as_object:
        print(as_json(message), flush=True)
        return
    state = RoundState.Name(message.state).removeprefix("ROUND_STATE_").lower()
    counts = (
        f"{message.reported} reported, {message.live_leases} leases, {message.failed} failed, {message.expired} expired"
    )
    if message.refused:
        counts += f", {message.refused} refused"
    parts = [counts, *_late(message), *_norms(message), message.checkpoint.hex()[:12]]
    print(f"round {message.round} attempt {message.attempt} {state}: {' '.join(filter(None, parts))}", flush=True)


def _late(message: Round) -> Iterator[str]:
    late = {staleness: count for staleness, count in message.norms.staleness.items() if staleness}
    if late:
        yield f"{sum(late.values())} late, at most {max(late)} rounds"


def _norms(message: Round) -> Iterator[str]:
    for part in ("shared", "adversary"):
        norms = getattr(message.norms, part)
        if norms.contributions:
            yield f"{part} norm {norms.median:.3g}, at most {norms.largest:.3g}"
