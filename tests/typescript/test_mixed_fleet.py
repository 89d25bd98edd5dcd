"""Devices of both SDKs train together, over real gRPC, and end in the checkpoint of the Python SDK alone."""

import shutil
import sqlite3
import sys
from itertools import cycle

import pytest

from client_sdk import FedClient, testing
from fedau2.v1.task_pb2 import InteractionWeights
from fedau2.wire import bundles, weights
from scripts.conformance import tasks
from tests.typescript import nodes

DEVICES, ROUNDS = 4, 3
SAME_NAMES = """
import secrets
secrets.token_hex = lambda size: "5a" * size  # so that both fleets have a task of the same id
from coordinator.__main__ import main
main()
"""

pytestmark = nodes.needs_node


@pytest.fixture(autouse=True)
def same_task(monkeypatch):
    command = testing._command

    def patched(module, *arguments):
        if module == "coordinator":
            return [sys.executable, "-P", "-c", SAME_NAMES, *arguments]
        return command(module, *arguments)

    monkeypatch.setattr(testing, "_command", patched)


WEIGHTS = InteractionWeights(view=0.3, like=1, purchase=3, rating=2, lowest_rating=2, full_rating=5, app_weights=True)
KINDS = [
    {"kind": "view"},
    {"kind": "purchase", "weight": 0.7},
    {"kind": "dislike"},
    {"kind": "rating", "value": 3.5},
    {"kind": "rating", "value": 1.0},
    {"kind": "like"},
]


def data_of(number):
    """Returns the key, the interactions and the attributes of a device."""
    attributes = {0: {"gender": "F"}, 1: {"gender": "M"}, 2: {"gender": "F"}}.get(number, {})
    items = tasks.ITEMS[number * 5 : number * 5 + 20 : 2]
    records = [{"item": item, **kind} for item, kind in zip(items, cycle(KINDS), strict=False)]
    return bytes([number] * 16), records, attributes


def bundle_of(folder, name, weighed):
    """Returns a bundle's folder; with `weighed`, that of a copy whose plan has weights of interactions."""
    if not weighed:
        return tasks.FOLDER / name
    shutil.copytree(tasks.FOLDER / name, folder)
    task = tasks.read(name).task
    task.plan.interactions.CopyFrom(WEIGHTS)
    task.required_features.append(weights.FEATURE)
    (folder / bundles.MANIFEST).write_bytes(task.SerializeToString(deterministic=True))
    return folder


def open_python(folder, server, number):
    key, records, attributes = data_of(number)
    FedClient.open(folder, server.address, server.population).close()
    with sqlite3.connect(folder / "state.db") as database:
        database.execute("UPDATE client SET key = ?", (key,))
    database.close()
    client = FedClient.open(folder, server.address, server.population)
    for record in records:
        client.record(**record)
    for name, value in attributes.items():
        client.set_attribute(name, value)
    return client


def train(tmp_path, bundle, typescript):
    """Trains a fleet with so many devices in TypeScript, and returns its last checkpoint and the recommendations."""
    python = range(DEVICES - typescript)
    with testing.LocalCoordinator(bundle=bundle, goal=DEVICES) as server, nodes.devices() as devices:
        clients = [open_python(tmp_path / f"{typescript}-{number}", server, number) for number in python]
        for number in range(len(clients), DEVICES):
            devices.open(tmp_path / f"{typescript}-{number}", server, *data_of(number))
        for number in range(ROUNDS):
            for client in clients:
                assert client.sync().result.value == "uploaded"
            for place in range(typescript):
                assert devices.sync(place)["result"] == "uploaded"
            server.wait_for_round(number + 1)
        best = [[(each.item, each.score) for each in client.recommend(k=9)] for client in clients]
        best += [[(each["item"], each["score"]) for each in devices.recommend(n, k=9)] for n in range(typescript)]
        for client in clients:
            client.close()
        return server._task().checkpoint, best


SLOW = [("fedncf", False), ("fedvae", True), ("fedrap", False)]


@pytest.mark.parametrize(
    ("name", "weighed"), [("fedncf", True), *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_both_kinds_of_devices_end_in_the_same_bytes(tmp_path, name, weighed):
    bundle = bundle_of(tmp_path / "bundle", name, weighed)
    assert train(tmp_path, bundle, typescript=0) == train(tmp_path, bundle, typescript=DEVICES // 2)
