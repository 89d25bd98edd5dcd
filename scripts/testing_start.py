"""Measures how long a test waits for `client_sdk.testing.LocalCoordinator`, and for the first recommendation from it.

    python -m scripts.testing_start

It needs only `pip install '.[coordinator]'`.
"""

import time
from tempfile import TemporaryDirectory

from client_sdk import FedClient
from client_sdk.testing import LocalCoordinator

RUNS = 5
ITEMS = [f"song-{number}" for number in range(50)]


def measure() -> tuple[float, float]:
    """Returns the seconds from the constructor to the start's end, and to the first recommendation."""
    begun = time.perf_counter()
    with LocalCoordinator(items=ITEMS, attribute="gender") as server, TemporaryDirectory() as folder:
        ready = time.perf_counter() - begun
        with FedClient.open(folder, server.address, server.population) as client:
            client.record(ITEMS[0])
            client.sync()
            client.recommend(k=3)
            return ready, time.perf_counter() - begun


def main() -> None:
    """Prints the best of some runs: others share the machine."""
    ready, recommended = min(measure() for _ in range(RUNS))
    print(f"ready after {ready:.2f} s, first recommendation after {recommended:.2f} s")


if __name__ == "__main__":
    main()
