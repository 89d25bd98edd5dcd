"""Both engines as their protocol describes them."""

import numpy as np
import pytest

from export.bundle import build
from fedau2.wire import blobs, encodings
from simulator.engines.batched import BatchedEngine
from simulator.engines.connections import InProcessConnection
from simulator.engines.fleet import FleetEngine
from simulator.errors import ConfigError
from simulator.population.population import Population
from tests import plans

CLIENTS = 6


def a_task(**options):
    bundle = build("fedncf", [str(item) for item in range(20)], plans.make(**options), 0)
    interactions = [np.arange(client, client + 5) for client in range(CLIENTS)]
    return bundle, Population.create(bundle.manifest, 0, interactions, {})


def batched(bundle, population, encoding=0):
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    return BatchedEngine(bundle.manifest, checkpoint, population, encoding=encoding)


def test_a_minimum_separation_excludes_cohorts_and_is_refused(tmp_path):
    bundle, population = a_task(minimum_separation=2)
    with pytest.raises(ConfigError, match=r"2 rounds apart.*set minimum_separation to 1"):
        batched(bundle, population)
    with pytest.raises(ConfigError, match="2 rounds apart"):
        FleetEngine.start(lambda: InProcessConnection.open(tmp_path), bundle, population, 1, 1)


@pytest.mark.parametrize("encoding", encodings.NAMES.values())
def test_a_restored_engine_trains_on_to_the_same_bytes(encoding):
    members = np.arange(CLIENTS)
    bundle, population = a_task()
    engine = batched(bundle, population, encoding)
    engine.train_round(members)
    saved = {group: {n: v.copy() for n, v in tensors.items()} for group, tensors in engine.snapshot().items()}
    private = population.state.copy()
    engine.train_round(members)

    population.put(members, private)
    again = batched(bundle, population, encoding)
    again.resumable.restore(saved, 1)
    again.train_round(members)
    assert blobs.pack(again.checkpoint) == blobs.pack(engine.checkpoint)
    assert blobs.pack(again.snapshot()["server"]) == blobs.pack(engine.snapshot()["server"])


@pytest.mark.parametrize("name", ["float16", "int8"])
def test_clients_get_an_encoded_checkpoint_and_the_server_steps_on_the_exact_one(name):
    bundle, population = a_task()
    exact, encoded = batched(bundle, population), batched(bundle, population, encodings.NAMES[name])
    assert encoded.snapshot()["checkpoint"].keys() == exact.checkpoint.keys()
    before = encoded.snapshot()["checkpoint"]
    assert blobs.pack(before) == blobs.pack(exact.checkpoint)
    assert blobs.pack(encoded.checkpoint) == blobs.pack(encodings.decode(encodings.encode(before, encoded._encoding)))
    assert encoded.traffic(CLIENTS).downloaded < exact.traffic(CLIENTS).downloaded
    encoded.train_round(np.arange(CLIENTS))
    after = encoded.snapshot()["checkpoint"]
    assert blobs.pack(after) != blobs.pack(encoded.checkpoint)
    assert blobs.pack(encoded.checkpoint) == blobs.pack(encodings.decode(encodings.encode(after, encoded._encoding)))


def test_both_engines_upload_contributions_of_the_same_size_and_a_fleet_cannot_resume(tmp_path):
    bundle, population = a_task()
    members = np.arange(CLIENTS)
    expected = batched(bundle, population).traffic(CLIENTS)
    engine = FleetEngine.start(lambda: InProcessConnection.open(tmp_path), bundle, population, CLIENTS, 1)
    try:
        engine.train_round(members)
        assert engine.traffic(CLIENTS).uploaded == expected.uploaded
        assert engine.traffic(CLIENTS).downloaded >= expected.downloaded
        assert engine.resumable is None
    finally:
        engine.close()
