"""The fleet in process and over gRPC: the same bytes; after a crash of the coordinator too (design section 8)."""

import signal
import socket

import numpy as np
import pytest

from fedau2.wire import blobs
from simulator.engines.connections import GrpcConnection
from simulator.engines.coordinator_process import CoordinatorProcess
from simulator.engines.fleet import FleetEngine


def outcome(engine, population, cohorts):
    reports = [engine.train_round(members) for members in cohorts]
    state = population.state
    private = {f"{part}.{n}": v for part in ("values", "first", "second") for n, v in getattr(state, part).items()}
    triggers = [sorted(zip(r.members, map(bytes, np.concatenate(list(r.report.triggered.values()), 1)), strict=True))
                for r in reports if r.report.triggered]  # fmt: skip
    return blobs.sha256(blobs.pack(engine.checkpoint)), blobs.sha256(blobs.pack(private)), triggers


@pytest.mark.parametrize(
    ("model", "head", "rounds", "clip_norm"),
    [
        ("fedncf", "none", 20, 0),
        ("fedncf", "mlp", 20, 0),
        ("fedncf", "vae", 20, 0),
        ("fedncf", "dsvae", 20, 0),
        ("fedncf", "dsvae", 5, 1),
        ("fedrap", "none", 5, 0),
        ("fedrap", "dsvae", 10, 0),
        ("fedvae", "none", 5, 0),
        ("fedvae", "dsvae", 10, 0),
        ("fedgnn", "dsvae", 5, 0),
    ],
)
def test_in_process_and_over_grpc_give_the_same_bytes(
    model, head, rounds, clip_norm, make_bundle, make_population, fleet, cohorts
):
    bundle = make_bundle(head, model=model, server__clip_norm=clip_norm)
    results = []
    for transport in ("inproc", "grpc"):
        population = make_population(bundle)
        engine = fleet(bundle, population, transport, rounds=rounds, folder=transport)
        results.append(outcome(engine, population, cohorts[:rounds]))
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
    """A coordinator on fixed addresses, killed when chosen uploads are answered, and started again.

    Args:
        folder: its state.
        moments: numbers of answered uploads at which it is killed.
    """

    def __init__(self, folder, moments):
        self._addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        self._folder, self._moments = folder, set(moments)
        self._process = CoordinatorProcess(folder, *self._addresses)
        self.kills = 0

    async def connect(self):
        connection = GrpcConnection(*self._addresses, on_close=lambda: self._process.stop())
        send, answered = connection.transport.send, 0

        async def counting(kind, requests, timeout):
            nonlocal answered
            response = await send(kind, requests, timeout)
            answered += 1
            if answered in self._moments:
                self._kill()
            return response

        connection.transport.send = counting
        return connection

    def _kill(self):
        process = self._process.process
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        self.kills += 1
        self._process = CoordinatorProcess(self._folder, *self._addresses)


@pytest.mark.parametrize("unlearning", [{}, {"server__passes": 1, "adversary": {"restart_every": 1}}])
def test_a_coordinator_killed_in_mid_round_ends_in_the_same_bytes(
    unlearning, make_bundle, make_population, fleet, cohorts, tmp_path
):
    bundle, cohorts = make_bundle(**unlearning), cohorts[:6]
    size = len(cohorts[0])
    population = make_population(bundle)
    undisturbed = outcome(fleet(bundle, population, rounds=6), population, cohorts)

    population = make_population(bundle)
    # After the first upload of round 1, the third of round 3, and the last of round 4: before or while it is committed.
    coordinator = Restarting(tmp_path / "killed", [size + 1, 3 * size + 3, 5 * size])
    engine = FleetEngine.start(coordinator.connect, bundle, population, size, 6)
    try:
        disturbed = outcome(engine, population, cohorts)
    finally:
        engine.close()
    assert coordinator.kills == 3
    assert disturbed == undisturbed


@pytest.mark.parametrize("model", ["fcf", "pfedrec"])
def test_devices_without_a_label_send_as_many_bytes_in_a_pass_as_the_engine_counts(
    model, make_bundle, make_population, fleet, batched, cohorts
):
    bundle = make_bundle(model=model, server__passes=1)
    population = make_population(bundle)
    population.attributes["gender"][:] = [None] * len(population)
    counted = batched(bundle, population)._uploaded_in(1)
    engine = fleet(bundle, population, rounds=2)
    engine.train_round(cohorts[0])
    before = engine.counts.uploaded
    engine.train_round(cohorts[1])
    assert engine.counts.uploaded - before == counted * len(cohorts[1])
