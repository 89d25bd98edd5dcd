"""`fedau2-coordinator audit-log`: checks and shows the log of the operators' calls."""

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from coordinator.errors import OperationsError
from coordinator.store import operations_log
from coordinator.store.state_folder import StateFolder


def show(args: argparse.Namespace) -> int:
    """Runs `audit-log`."""
    path = StateFolder(args.state).operations
    if not path.exists():
        raise OperationsError(f"{path} is missing: no coordinator has used this folder, or somebody removed it")
    head, met = operations_log.START, args.head in (None, operations_log.START)
    for entry, head in operations_log.read(path):
        print(json.dumps(entry) if args.json else _line(entry))
        met = met or head == args.head
    if not met:
        raise OperationsError(f"{path}: no line has the hash {args.head}: lines have been cut off, or written anew")
    if not args.json:
        print(f"the log is whole; its head is {head}")
    return 0


def _line(entry: dict[str, Any]) -> str:
    try:
        at = datetime.fromtimestamp(entry["at"], UTC).isoformat(timespec="seconds")
        caller = f"{entry['operator']} ({entry['role']})"
        words = [at, caller, entry["call"], entry["event"], entry.get("result", "")]
    except (KeyError, TypeError, ValueError, OverflowError):
        return f"an entry that no coordinator writes: {json.dumps(entry)}"
    more = [json.dumps(entry[part]) for part in ("request", "task") if entry.get(part)]
    return " ".join(filter(None, [*words, *more]))
