"""The dashboard can do what the role of its credentials allows, as they are at the time."""

import asyncio
import time
from contextlib import asynccontextmanager

import grpc
import pytest

pytest.importorskip("jinja2", reason="the extra web is not installed")

from coordinator.commands import credentials
from coordinator.grpc.bearers import TokenRules
from coordinator.grpc.tls import Tls
from coordinator.store import operations_log
from coordinator.store.state_folder import StateFolder
from fedau2.v1.admin_pb2 import TASK_STATE_RUNNING
from tests import certificates, identity_provider
from tests.coordinator.dashboard.labs import coordinator, dashboard
from tests.identity_provider import ISSUER

AUTHORITY = certificates.make(names=())
AUDIENCE = "fedau2-coordinator"


@asynccontextmanager
async def serving(folder, role, expires=300):
    """A coordinator that takes tokens, and a dashboard with one; yields the lab, a visitor and the token's file."""
    key, certificate = certificates.make(authority=AUTHORITY)
    shown = folder / "credentials"
    shown.mkdir()
    (folder / "key.pem").write_bytes(key)
    (folder / "certificate.pem").write_bytes(certificate)
    (shown / "authority.pem").write_bytes(AUTHORITY[1])
    identity_provider.write(folder / "jwks.json")
    write(shown / "token", role, expires)
    tls = Tls(folder / "certificate.pem", folder / "key.pem", None, "admin_tls")
    by_token = TokenRules(folder / "jwks.json", ISSUER, AUDIENCE, "fedau2_role").bearers()
    async with coordinator(folder / "state", admin_tls=tls, by_token=by_token) as lab:
        address = f"localhost:{lab.admin.rpartition(':')[2]}"
        connect = lambda: grpc.aio.secure_channel(address, credentials.read(shown))  # noqa: E731
        async with dashboard(address, connect) as visitor:
            yield lab, visitor, shown / "token"


def write(path, role, expires=300):
    now = time.time()
    path.write_bytes(identity_provider.token(now, AUDIENCE, exp=now + expires, fedau2_role=role))


def test_a_viewer_sees_everything_but_buttons_and_the_coordinator_refuses_changes(tmp_path):
    async def main():
        async with serving(tmp_path, "viewer") as (lab, visitor, _):
            task_id = await lab.create()
            page = await visitor.get(f"/tasks/{task_id}")
            assert (page.status, page.buttons, page.token) == (200, [], None)
            assert "Protection of gender" in page.text
            assert (await visitor.get(f"/tasks/{task_id}/stop")).status == 403
            assert (await visitor.post(f"/tasks/{task_id}/pause")).status == 403
            assert (await lab.task(task_id)).state == TASK_STATE_RUNNING

    asyncio.run(main())


def test_an_operator_whose_role_is_taken_away_is_refused_by_the_coordinator(tmp_path):
    async def main():
        async with serving(tmp_path, "operator") as (lab, visitor, path):
            task_id = await lab.create()
            token = (await visitor.get(f"/tasks/{task_id}")).token
            write(path, "viewer")
            await visitor.calls.close()  # the next call reads the file
            answer = await visitor.post(f"/tasks/{task_id}/pause", token)
            assert answer.status == 403
            assert "PauseTask needs the role operator" in answer.text
            assert answer.buttons == []
            assert (await lab.task(task_id)).state == TASK_STATE_RUNNING

    asyncio.run(main())
    entries = [entry for entry, _ in operations_log.read(StateFolder(tmp_path / "state").operations)]
    assert [(entry["call"], entry["event"]) for entry in entries] == [("PauseTask", "refused")]


def test_an_expired_token_is_named_and_a_new_one_is_used_without_a_restart(tmp_path):
    async def main():
        async with serving(tmp_path, "operator", expires=-3600) as (lab, visitor, path):
            task_id = await lab.create()
            answer = await visitor.get(f"/tasks/{task_id}")
            assert answer.status == 403
            assert "Expired" in answer.text
            async with visitor.watch(f"/tasks/{task_id}/live") as following:
                assert "Expired" in await following()
                write(path, "operator")
                assert "0 of 3 rounds are over" in await following()
            assert (await visitor.get(f"/tasks/{task_id}")).buttons

    asyncio.run(main())


def test_credentials_that_cannot_be_read_are_named_and_used_when_they_are_back(tmp_path):
    async def main():
        async with serving(tmp_path, "viewer") as (_, visitor, path):
            path.write_text("")
            answer = await visitor.get("/")
            assert answer.status == 403
            assert "holds no token" in answer.text
            write(path, "viewer")
            assert (await visitor.get("/")).status == 200

    asyncio.run(main())
