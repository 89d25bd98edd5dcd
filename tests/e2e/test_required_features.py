"""A task that requires a feature: devices without it leave their places in the round to devices that have it."""

import asyncio
from contextlib import closing

import pytest
from google.protobuf.duration_pb2 import Duration

from client_sdk.errors import MissingFeatureError
from client_sdk.kernel import fedncf
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol import manifests
from client_sdk.protocol.drivers import drive_async
from client_sdk.protocol.session import session
from client_sdk.protocol.wishes import Result
from client_sdk.store.sqlite_store import SqliteStore
from export.bundle import build
from fedau2.v1 import admin_pb2
from fedau2.v1.task_pb2 import ClosingRule
from fedau2.wire import blobs, features
from simulator.engines.connections import InProcessConnection
from tests import plans

ITEMS = [f"movie-{number}" for number in range(12)]
FEATURE = "made-up-for-this-test"


@pytest.fixture
def bundle():
    plan = plans.make("fedncf", plans.GENDER)
    widths = fedncf.Widths(gmf=2, mlp=2, hidden=(3,))
    return build("fedncf", ITEMS, plan, 1, widths, training=False, required_features=[FEATURE])


def creation(bundle):
    """A task whose rounds have one place."""
    closing = ClosingRule(goal=1, minimum=1, maximum=1, deadline=Duration(seconds=600), lease=Duration(seconds=60))
    manifest = bundle.manifest.SerializeToString(deterministic=True)
    header = admin_pb2.CreateTaskHeader(population="films", manifest=manifest, rounds=1, closing=closing)
    yield admin_pb2.CreateTaskRequest(header=header)
    for data in bundle.blobs.values():
        yield admin_pb2.CreateTaskRequest(blob=admin_pb2.BlobPart(sha256=blobs.sha256(data), data=data))


class Device:
    """A device of the population with something to train on."""

    def __init__(self, folder, connection):
        self.store = SqliteStore(folder)
        for item in ITEMS[:5]:
            self.store.record(item, 0)
        self._transport = connection.transport

    async def sync(self):
        running = session(self.store, TorchEngine(), "films", "1.0")
        return await drive_async(running, self._transport)


def test_a_device_without_the_feature_is_refused_and_leaves_its_place_to_the_next(bundle, tmp_path, monkeypatch):
    async def main():
        monkeypatch.setattr(features, "KNOWN", features.KNOWN | {FEATURE})
        connection = await InProcessConnection.open(tmp_path / "coordinator")
        task = await connection.admin.send(admin_pb2.CreateTaskRequest, creation(bundle))
        old, new = (Device(tmp_path / name, connection) for name in ("old", "new"))
        with closing(old.store), closing(new.store):
            with pytest.raises(MissingFeatureError, match=FEATURE):
                await old.sync()
            assert (old.store.model(), old.store.staged()) == (None, None)

            monkeypatch.setattr(manifests, "FEATURES", frozenset({FEATURE}))
            assert (await new.sync()).result is Result.UPLOADED
        while (await connection.admin.call(admin_pb2.GetTaskRequest(task_id=task.task_id))).round < 1:
            await asyncio.sleep(0.01)
        await connection.close()

    asyncio.run(main())
