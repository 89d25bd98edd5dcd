"""Devices of both SDKs train together, over real gRPC, and end in the checkpoint of the Python SDK alone."""

import shutil
from dataclasses import replace

import pytest

import export
from client_sdk import testing
from coordinator import cli
from fedau2.v1.task_pb2 import InteractionWeights
from fedau2.wire import bundles, weights
from scripts.conformance import tasks
from tests.typescript import fleets, nodes

ROUNDS = 3
WEIGHTS = InteractionWeights(view=0.3, like=1, purchase=3, rating=2, lowest_rating=2, full_rating=5, app_weights=True)
SLOW = [("fedncf", False), ("fedvae", True), ("fedrap", False)]

pytestmark = nodes.needs_node


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


def train(fleet, server, rounds):
    """Lets a fleet train a task for the first rounds of it."""
    for number in range(rounds):
        fleet.train()
        server.wait_for_round(number + 1)


def trained(folder, bundle, typescript):
    """Trains a fleet with so many devices in TypeScript, and returns its last checkpoint and the recommendations."""
    with (
        testing.LocalCoordinator(bundle=bundle, goal=fleets.DEVICES) as server,
        fleets.fleet(folder, server, typescript) as fleet,
    ):
        train(fleet, server, ROUNDS)
        return server._task().checkpoint, fleet.best()


@pytest.mark.parametrize(
    ("name", "weighed"), [("fedncf", True), *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_both_kinds_of_devices_end_in_the_same_bytes(tmp_path, monkeypatch, name, weighed):
    fleets.same_tasks(monkeypatch)
    bundle = bundle_of(tmp_path / "bundle", name, weighed)
    assert trained(tmp_path, bundle, typescript=0) == trained(tmp_path, bundle, typescript=fleets.DEVICES // 2)


def succeeded(folder, bundle, successor, typescript):
    """Trains a fleet, puts the successor in the task's place, and trains on."""
    with (
        testing.LocalCoordinator(bundle=bundle, goal=fleets.DEVICES) as server,
        fleets.fleet(folder, server, typescript) as fleet,
    ):
        train(fleet, server, rounds=2)
        first = server._task().task_id
        assert cli.main(["replace", first, f"--bundle={successor}", f"--admin={server.admin}"]) == 0
        server._served = replace(server._served, task_id=f"{int(first[:2], 16) + 1:02x}" * 8)
        train(fleet, server, rounds=2)
        return server._task().checkpoint, fleet.best()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "encoding"), [("fedncf", "int8"), ("fedrap", "float16")])
def test_both_go_on_with_a_successor_from_encoded_checkpoints(tmp_path, monkeypatch, name, encoding):
    fleets.same_tasks(monkeypatch, f"--checkpoints={encoding}")
    bundle, successor = bundle_of(tmp_path / "bundle", name, True), tmp_path / "successor"
    items = ["item-new", *reversed(tasks.ITEMS[1:])]
    export.write(export.succeed(bundle, items, 2)[0], successor)
    alone = succeeded(tmp_path, bundle, successor, typescript=0)
    assert alone == succeeded(tmp_path, bundle, successor, typescript=fleets.DEVICES // 2)
