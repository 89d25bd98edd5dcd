"""The fleet in process and over gRPC: the same bytes; after a crash of the coordinator too (design section 8)."""

import signal
import socket
import threading
import time

import numpy as np
import pytest

from fedau2.wire import blobs
from simulator.fleet import FleetEngine
from simulator.links import CoordinatorProcess, GrpcLink


def outcome(engine, population, cohorts):
    reports = [engine.train_round(members) for members in cohorts]
    state = population.state
    private = {f"{part}.{n}": v for part in ("values", "first", "second") for n, v in getattr(state, part).items()}
    triggers = [sorted(zip(r.members, map(bytes, np.concatenate(list(r.report.triggered.values()), 1)), strict=True))
                for r in reports if r.report.triggered]  # fmt: skip
    return blobs.sha256(blobs.pack(engine.checkpoint)), blobs.sha256(blobs.pack(private)), triggers


@pytest.mark.parametrize("head", ["none", "mlp", "vae", "dsvae"])
def test_in_process_and_over_grpc_give_the_same_bytes(head, make_bundle, make_population, fleet, cohorts):
    bundle = make_bundle(head)
    results = []
    for transport in ("inproc", "grpc"):
        population = make_population(bundle)
        engine = fleet(bundle, population, transport, rounds=20, folder=transport)
        results.append(outcome(engine, population, cohorts[:20]))
    assert results[0] == results[1]


def test_another_seed_gives_other_bytes(make_bundle, make_population, fleet, cohorts):
    bundle = make_bundle()
    results = []
    for seed in (0, 1):
        population = make_population(bundle, seed)
        results.append(outcome(fleet(bundle, population, folder=f"seed-{seed}"), population, cohorts[:2]))
    assert results[0][0] != results[1][0]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Restarting:
    """A coordinator on fixed addresses that is killed in the middle of rounds and started again."""

    def __init__(self, folder):
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        self.folder, self.kills = folder, 0
        self.process = CoordinatorProcess(folder, *self.addresses)

    async def link(self):
        return GrpcLink(*self.addresses, on_close=lambda: self.process.stop())

    def kill(self):
        self.process.process.send_signal(signal.SIGKILL)
        self.process.process.wait()
        self.process.process.stdout.close()
        self.kills += 1
        self.process = CoordinatorProcess(self.folder, *self.addresses)


def test_a_killed_coordinator_ends_in_the_same_bytes(make_bundle, make_population, fleet, cohorts, tmp_path):
    bundle = make_bundle()
    population = make_population(bundle)
    undisturbed = outcome(fleet(bundle, population, rounds=8), population, cohorts[:8])

    population = make_population(bundle)
    coordinator = Restarting(tmp_path / "killed")
    engine = FleetEngine.start(coordinator.link, bundle, population, len(cohorts[0]), 8)
    stop = threading.Event()

    def killer():
        # Whenever some but not all of a round's contributions are acknowledged: the moment that loses most.
        rng = np.random.default_rng(0)
        while not stop.wait(rng.uniform(0.02, 0.1)) and coordinator.kills < 3:
            coordinator.kill()
            time.sleep(0.5)

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        disturbed = outcome(engine, population, cohorts[:8])
    finally:
        stop.set()
        thread.join()
        engine.close()
    assert coordinator.kills >= 1
    assert disturbed == undisturbed
