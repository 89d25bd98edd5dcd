"""Measures what the encryption of a state folder costs: the same calls of a client with a key and without one.

A local coordinator serves a small task. The calls of the two clients take turns, so that a busy machine slows both.
Needs the extras `encrypted`, `export` and `coordinator`.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from client_sdk import FedClient
from client_sdk.testing import LocalCoordinator

ITEMS = [f"item-{number}" for number in range(1000)]
KEY = bytes(range(32))


def main() -> None:
    """Prints the median of each call, in milliseconds of the clock and of the processor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200, help="calls of each kind (default: %(default)s)")
    parser.add_argument("--syncs", type=int, default=10, help="syncs, each with a contribution (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, LocalCoordinator(ITEMS) as server:
        _measure("open and close", options.syncs, {kind: _opener(name, server, kind) for kind in ("plain", "key")})
        with ExitStack() as stack:
            clients = {kind: stack.enter_context(_open(name, server, kind)) for kind in ("plain", "key")}
            for client in clients.values():
                client.record_many(ITEMS[:50])
            _measure("sync", options.syncs, {kind: client.sync for kind, client in clients.items()})
            _measure(
                "record", options.calls, {kind: partial(client.record, "item-7") for kind, client in clients.items()}
            )
            _measure("recommend", options.calls, {kind: client.recommend for kind, client in clients.items()})
            _measure("status", options.calls, {kind: client.status for kind, client in clients.items()})


def _open(folder: str, server: LocalCoordinator, kind: str) -> FedClient:
    key = (lambda: KEY) if kind == "key" else None
    return FedClient.open(Path(folder) / kind, server.address, server.population, key=key)


def _opener(folder: str, server: LocalCoordinator, kind: str) -> Callable[[], object]:
    return lambda: _open(folder, server, kind).close()


def _measure(name: str, calls: int, acts: dict[str, Callable[[], object]]) -> None:
    taken: dict[str, list[tuple[float, float]]] = {kind: [] for kind in acts}
    for number in range(calls + 1):
        for kind, act in acts.items():
            started = (time.perf_counter(), time.process_time())
            act()
            if number:  # the first call loads libraries
                taken[kind].append((time.perf_counter() - started[0], time.process_time() - started[1]))
    cells = [
        f"{1000 * statistics.median(times):.2f}" for values in taken.values() for times in zip(*values, strict=True)
    ]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
