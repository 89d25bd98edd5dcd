"""No log record and no event holds anything of the user, whatever happens. The user's data are canaries here."""

import asyncio
import copy
import logging
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from client_sdk import AsyncFedClient, Constraints, FedClient
from client_sdk.errors import FedError
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.wishes import TooSlow
from fedau2.wire.status import Status, StatusError
from tests.client_sdk.scheduling.background.virtual import VirtualClock, run

CANARY = "canary%s{0}é"
ITEMS = [f"{CANARY}-item-{number}" for number in range(8)]
LOGGED = "client_sdk"


class Wrong(TorchEngine):
    """An engine whose failures quote the user."""

    def begin(self, job):
        raise ZeroDivisionError(CANARY)


@pytest.fixture(scope="module")
def secret(bundles):
    """A task whose catalogue and classes are canaries."""
    made = bundles(ITEMS)
    task = copy.deepcopy(made.manifest)
    task.plan.adversaries[0].classes[0] = CANARY
    return replace(made, manifest=task).with_manifest()


@pytest.fixture
def heard(caplog):
    """All that is logged at any level, and all events."""
    caplog.set_level(logging.DEBUG)
    return []


def held_back(caplog, heard):
    """Whether nothing that was heard holds a canary; what was heard is not empty."""
    assert heard
    assert any(record.name.startswith(LOGGED) for record in caplog.records)
    for record in caplog.records:
        logged = f"{record.getMessage()} {record.args!r} {logging.Formatter().format(record)}"
        assert "canary" not in logged, record.name
    for event in heard:
        assert "canary" not in repr(event)
    return True


def fails(client, heard):
    """Everything that an app may call, in ways that go wrong."""

    def callback(event):
        heard.append(event)
        raise RuntimeError(CANARY)

    def where(item):
        raise RuntimeError(item)

    client.events.subscribe(callback)
    old = datetime(1970, 1, 2, tzinfo=UTC)
    calls = [
        lambda: client.record_many(ITEMS),
        lambda: client.record(ITEMS[0], old),
        lambda: client.record(f"{CANARY}\n"),
        lambda: client.set_attribute(CANARY, CANARY),
        lambda: client.set_attribute("gender", f"{CANARY} of no class"),
        lambda: client.recommend(where=where),
        client.sync,
        lambda: client.set_attribute("gender", CANARY),
        lambda: client.recommend(where=where),
        client.sync,
        client.privacy.report,
        client.privacy.export_data,
        client.status,
    ]
    for call in calls:
        with suppress(FedError, RuntimeError):
            call()


def wrecked(remote, secret):
    """Ways in which a sync goes wrong, each as a function that brings it about for one client."""
    checkpoint = secret.checkpoint.sha256

    def refuse(call, status):
        return lambda client: remote.refusals.update({call: StatusError(status, "no")})

    def damage(client):
        (client._store.folder / "blobs" / checkpoint.hex()).write_bytes(b"damaged")

    def send(bundle):
        def act(client):
            remote.bundle, remote.assignment = bundle, bundle.assignment(9, 9)

        return act

    yield from (
        lambda client: None,
        damage,
        lambda client: setattr(client._core, "engine", Wrong()),
        lambda client: client._store.set_attribute("gender", f"{CANARY} of no class"),
        lambda client: client._store.database.write("UPDATE interactions SET item = ?", (f"{CANARY} unlisted",)),
        lambda client: setattr(remote, "assignment", None),
        send(secret.with_manifest(required_features=["grid"])),
        send(replace(secret, blobs=dict.fromkeys(secret.blobs, b"spoiled"))),
        *(refuse("check_in", status) for status in (Status.UNAVAILABLE, Status.INVALID_ARGUMENT)),
        *(refuse("upload", status) for status in (Status.ABORTED, Status.UNAVAILABLE, Status.INTERNAL)),
    )


WAYS = 13


@pytest.mark.parametrize("way", range(WAYS))
def test_no_failure_of_a_sync_tells_of_the_user(tmp_path, remote, secret, address, heard, caplog, way):
    remote.bundle, remote.assignment = secret, secret.assignment()
    ways = list(wrecked(remote, secret))
    assert len(ways) == WAYS
    with FedClient.open(tmp_path / "state", address, "films", max_interactions=6, engine=TorchEngine()) as client:
        fails(client, heard)
        remote.assignment = secret.assignment(1, 1)
        ways[way](client)
        with suppress(FedError):
            client.sync()
        clock = VirtualClock(6)
        client.background._clock, client._core.syncs._clock = clock, clock.time
        run(client, clock, Constraints(charging=True), device_state=lambda: 1 / len(CANARY[:0]))
        client.background.stop()
        client.privacy.forget_attribute("gender")
        client.privacy.delete_data()
        client.record(ITEMS[1])
    assert held_back(caplog, heard)


def test_nor_does_a_contribution_that_is_dropped(tmp_path, remote, secret, address, heard, caplog, monkeypatch):
    def late(*arguments):
        raise TooSlow

    remote.bundle, remote.assignment = secret, secret.assignment()
    monkeypatch.setattr("client_sdk.protocol.contributing.upload", late)
    with FedClient.open(tmp_path / "state", address, "films", engine=TorchEngine()) as client:
        fails(client, heard)
    assert held_back(caplog, heard)


def test_nor_does_the_client_for_asyncio(tmp_path, remote, secret, address, heard, caplog):
    async def main():
        async with await AsyncFedClient.open(tmp_path / "state", address, "films", engine=Wrong()) as client:
            client.events.subscribe(heard.append)
            await client.record_many(ITEMS)
            for _ in range(2):
                with suppress(FedError):
                    await client.sync()

    remote.bundle, remote.assignment = secret, secret.assignment()
    asyncio.run(main())
    assert held_back(caplog, heard)
