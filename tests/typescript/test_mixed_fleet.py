"""Devices of both SDKs train together, over real gRPC, and end in the checkpoint of the Python SDK alone."""

import shutil

import pytest

import export
from fedau2.v1.task_pb2 import InteractionWeights
from fedau2.wire import bundles, weights
from scripts.conformance import tasks
from tests.typescript import fleets, named, nodes

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
        named.coordinator(folder / f"{typescript}-coordinator") as server,
        fleets.fleet(folder, server, typescript) as fleet,
    ):
        server.create(bundle, fleets.DEVICES)
        train(fleet, server, ROUNDS)
        return server.task().checkpoint, fleet.best()


@pytest.mark.parametrize(
    ("name", "weighed"), [("fedncf", True), *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_both_kinds_of_devices_end_in_the_same_bytes(tmp_path, name, weighed):
    bundle = bundle_of(tmp_path / "bundle", name, weighed)
    assert trained(tmp_path, bundle, typescript=0) == trained(tmp_path, bundle, typescript=fleets.DEVICES // 2)


def succeeded(folder, bundle, successor, encoding, typescript):
    """Trains a fleet, puts the successor in the task's place, trains on, and returns the last checkpoint."""
    with (
        named.coordinator(folder / f"{typescript}-coordinator") as server,
        fleets.fleet(folder, server, typescript) as fleet,
    ):
        server.create(bundle, fleets.DEVICES, f"--checkpoints={encoding}")
        train(fleet, server, rounds=2)
        server.replace(successor)
        train(fleet, server, rounds=2)
        return server.task().checkpoint


@pytest.mark.slow
@pytest.mark.parametrize(("name", "encoding"), [("fedncf", "int8"), ("fedrap", "float16")])
def test_both_go_on_with_a_successor_from_encoded_checkpoints(tmp_path, name, encoding):
    bundle, successor = bundle_of(tmp_path / "bundle", name, True), tmp_path / "successor"
    export.write(export.succeed(bundle, ["item-new", *reversed(tasks.ITEMS[1:])], 2)[0], successor)
    alone = succeeded(tmp_path, bundle, successor, encoding, typescript=0)
    assert alone == succeeded(tmp_path, bundle, successor, encoding, typescript=fleets.DEVICES // 2)
