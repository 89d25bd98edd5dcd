"""Rounds with secure sums: devices of the SDK, a coordinator and an unmasker, which each know what they may."""

import asyncio
from contextlib import ExitStack, closing

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.duration_pb2 import Duration

from client_sdk import Result, Unmasker
from client_sdk.identity import enrolling
from client_sdk.kernel import fedncf
from client_sdk.protocol.drivers import drive_async
from client_sdk.scheduling.timeout import Timeout
from client_sdk.store.sqlite_store import SqliteStore
from coordinator.aggregation.optimizers import server_step
from coordinator.aggregation.secure_sum import SecureSum
from coordinator.engine import unmasking
from coordinator.engine.coordinator import Coordinator
from coordinator.grpc.unmasker_client import UnmaskerClient
from export.bundle import build
from fedau2.v1 import admin_pb2
from fedau2.v1.secure_pb2 import Grid, SecureSums
from fedau2.v1.task_pb2 import ClosingRule
from fedau2.wire import blobs
from fedau2.wire.manifest import shared
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.policy import FEATURE
from fedau2.wire.secure.quantise import vector
from simulator.engines.connections import InProcessConnection
from tests import plans
from tests.client_sdk.secure import Watched, begin
from tests.unmasker.served import served
from unmasker import Books, Rules, StateFolder
from unmasker import Unmasker as Served
from unmasker.evidence.anybody import Anybody

ITEMS = [f"movie-{number}" for number in range(12)]
DEVICES, GOAL, ROUNDS, MOST = 66, 64, 3, 2


def secure_bundle(identity):
    widths = fedncf.Widths(gmf=2, mlp=2, hidden=(3,))
    bundle = build("fedncf", ITEMS, plans.make("fedncf", plans.GENDER, server__clip_norm=0), 1, widths, training=False)
    grids = [Grid(tensor=name, exponent=12, clip=1000) for name in sorted(shared(bundle.manifest))]
    numbers = {"version": 1, "modulus_bits": 24, "value_bits": 14, "minimum": GOAL, "row_threshold": 10}
    policy = SecureSums(grids=grids, unmaskers=[identity], max_participations=MOST, **numbers)
    bundle.manifest.required_features.append(FEATURE)
    bundle.manifest.secure_sums.CopyFrom(policy)
    return bundle


def creation(bundle):
    rule = ClosingRule(
        goal=GOAL, minimum=GOAL, maximum=DEVICES, deadline=Duration(seconds=600), lease=Duration(seconds=60)
    )
    manifest = bundle.manifest.SerializeToString(deterministic=True)
    header = admin_pb2.CreateTaskHeader(population="films", manifest=manifest, rounds=ROUNDS, closing=rule)
    yield admin_pb2.CreateTaskRequest(header=header)
    for data in bundle.blobs.values():
        yield admin_pb2.CreateTaskRequest(blob=admin_pb2.BlobPart(sha256=blobs.sha256(data), data=data))


class Device:
    """A device with some interactions, whose app names the unmasker."""

    def __init__(self, folder, number, unmasker):
        self.store, self.engine, self.unmasker = SqliteStore(folder), Watched(), unmasker
        self.enrolled = 0
        for item in range(6):
            self.store.record(ITEMS[(number + item) % len(ITEMS)], 0)
        if number % 3:
            self.store.set_attribute("gender", "MF"[number % 2])

    def _enrol(self, seconds):
        self.enrolled += 1
        enrolling.enrol(self.store, [self.unmasker], "open", b"", Timeout(60))

    async def sync(self, transport):
        running = begin(self.store, self.unmasker, engine=self.engine, enrols=True)
        return await drive_async(running, transport, enrol=self._enrol)

    async def sync_once_open(self, transport):
        """Syncs again until the round has its key."""
        while (outcome := await self.sync(transport)).reason == "REJECTION_REASON_ROUND_CLOSING":
            await asyncio.sleep(0.02)
        return outcome


@pytest.fixture
def unmasker(tmp_path):
    with closing(Served(Books.make(StateFolder(tmp_path / "unmasker"), None), Rules((Anybody(),)))) as made:
        yield made


async def trained(coordinator, task_id, rounds):
    while (task := await coordinator.admin.call(admin_pb2.GetTaskRequest(task_id=task_id))).round < rounds:
        await asyncio.sleep(0.02)
    return task


def stepped(task, checkpoint, state, devices):
    """The checkpoint and the optimizers' state after a round of these devices, by plain addition of integers."""
    total = SecureSum(task)
    for device in devices:
        total.add(vector(device.engine.result.contribution, task.secure_sums, Layout.of(task)))
    return server_step(task, checkpoint, state, total.mean())


def test_two_rounds_give_the_checkpoint_of_plain_integers_and_no_device_takes_part_in_a_third(tmp_path, unmasker):
    keys = unmasker.books.keys
    pem = keys.identity.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    bundle = secure_bundle(keys.public.identity)
    task = bundle.manifest
    checkpoint, state = blobs.unpack(bundle.blobs[task.checkpoint.sha256]), {}

    async def main(stack, servers):
        nonlocal checkpoint, state
        known = unmasking.Unmasker(keys.public.identity, UnmaskerClient(servers.coordinators))
        opened = await Coordinator.open(tmp_path / "coordinator", clock=lambda: 0.0, unmasker=known)
        coordinator = InProcessConnection(opened)
        created = await coordinator.admin.send(admin_pb2.CreateTaskRequest, creation(bundle))
        app = Unmasker(servers.devices, pem)
        devices = [Device(tmp_path / f"device-{number}", number, app) for number in range(DEVICES)]
        for device in devices:
            stack.callback(device.store.close)
        for number in range(MOST):
            assert (await devices[0].sync_once_open(coordinator.transport)).result is Result.UPLOADED
            results = [(await device.sync(coordinator.transport)).result for device in devices[1:]]
            taken = [device for device, result in zip(devices[1:], results, strict=True) if result is Result.UPLOADED]
            taken.append(devices[0])
            assert len(taken) == GOAL
            checkpoint, state = stepped(task, checkpoint, state, taken)
            done = await trained(coordinator, created.task_id, number + 1)
            assert done.checkpoint.sha256 == blobs.sha256(blobs.pack(checkpoint))
        counts = [device.store.identities.participations(created.task_id) for device in devices]
        assert sum(counts) == MOST * GOAL
        spent = [device for device, count in zip(devices, counts, strict=True) if count == MOST][:3]
        reasons = {(await device.sync_once_open(coordinator.transport)).reason for device in spent}
        assert reasons == {"PARTICIPATIONS_SPENT"}
        assert max(device.enrolled for device in devices) == 1
        await coordinator.close()

    with ExitStack() as stack, served(unmasker) as servers:
        asyncio.run(main(stack, servers))
    assert all(np.isfinite(values).all() for values in checkpoint.values())
