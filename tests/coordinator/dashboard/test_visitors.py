"""Off loopback, visitors show certificates and have roles of their own; nobody else is let in."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("jinja2", reason="the extra web is not installed")

from coordinator.dashboard.visitors import Visitors
from coordinator.errors import ForbiddenError
from coordinator.grpc.tls import Tls
from fedau2.v1.admin_pb2 import TASK_STATE_PAUSED, TASK_STATE_RUNNING
from tests import certificates
from tests.coordinator.dashboard.labs import both, client_context, coordinator, dashboard

AUTHORITY = certificates.make(names=(), signs=True)
OTHER = certificates.make(names=(), signs=True)
ROLES = 'vera = "viewer"\notto = "operator"\n'


def person(name, **options):
    return certificates.make(authority=AUTHORITY, names=(), common=name, **options)


VERA, OTTO, EVE = (person(name) for name in ("vera", "otto", "eve"))


@asynccontextmanager
async def serving(folder, pair):
    key, certificate = certificates.make(authority=AUTHORITY)
    for name, data in (("key.pem", key), ("certificate.pem", certificate), ("authority.pem", AUTHORITY[1])):
        (folder / name).write_bytes(data)
    roles = folder / "roles.toml"
    roles.write_text(ROLES)
    tls = Tls(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem")
    context = client_context(AUTHORITY[1], pair, folder)
    async with both(folder / "state", visitors=Visitors(roles), tls=tls, context=context) as (lab, visitor):
        yield lab, visitor, roles


def test_an_operator_changes_tasks_and_the_log_names_who(tmp_path, caplog):
    caplog.set_level("INFO")

    async def main():
        async with serving(tmp_path, OTTO) as (lab, visitor, _):
            task_id = await lab.create()
            page = await visitor.get(f"/tasks/{task_id}")
            assert (await visitor.post(f"/tasks/{task_id}/pause", page.token)).status == 303
            assert (await lab.task(task_id)).state == TASK_STATE_PAUSED
            assert f"pause of task '{task_id}' by otto" in caplog.text

    asyncio.run(main())


def test_a_viewer_sees_no_buttons_and_cannot_use_them_either(tmp_path):
    async def main():
        async with serving(tmp_path, VERA) as (lab, visitor, roles):
            path = f"/tasks/{await lab.create()}"
            page = await visitor.get(path)
            assert (page.status, page.buttons, page.token) == (200, [], None)
            assert "You may look only." in page.text
            assert (await visitor.get(f"{path}/stop")).status == 403
            roles.write_text('vera = "operator"')
            token = (await visitor.get(path)).token
            roles.write_text(ROLES)
            answer = await visitor.post(f"{path}/pause", token)
            assert answer.status == 403
            assert "vera is viewer" in answer.text
            assert (await lab.only_task()).state == TASK_STATE_RUNNING

    asyncio.run(main())


def test_a_role_that_is_taken_away_ends_an_open_page(tmp_path):
    async def main():
        async with serving(tmp_path, OTTO) as (lab, visitor, roles):
            path = f"/tasks/{await lab.create()}"
            async with visitor.watch(f"{path}/live") as following:
                assert "0 of 3 rounds" in await following()
                roles.write_text('otto = "king"')
                with pytest.raises(EOFError):
                    await following()
            answer = await visitor.get(path)
            assert answer.status == 403
            assert "otto has the role 'king'" in answer.text
            assert "0 of 3" not in answer.text

    asyncio.run(main())


@pytest.mark.parametrize("pair", [EVE, person("vera\u202e")])
def test_a_certificate_without_a_role_sees_nothing(tmp_path, pair):
    async def main():
        async with serving(tmp_path, pair) as (lab, visitor, _):
            await lab.create()
            for path in ("/", "/live", "/static/style.css"):
                answer = await visitor.get(path)
                assert answer.status == 403
                assert "movies" not in answer.text

    asyncio.run(main())


@pytest.mark.parametrize(
    "pair", [None, certificates.make(authority=OTHER, names=(), common="otto"), person("otto", until=-0.5)]
)
def test_no_certificate_one_of_another_authority_and_an_expired_one_get_no_answer(tmp_path, pair):
    async def main():
        async with serving(tmp_path, pair) as (_, visitor, _):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await visitor.get("/")

    asyncio.run(main())


def test_older_tls_is_not_spoken(tmp_path):
    async def main():
        async with serving(tmp_path, OTTO) as (_, visitor, _):
            visitor._context.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises(ssl.SSLError):
                await visitor.get("/")

    asyncio.run(main())


class Fickle(Visitors):
    """Takes a visitor's role away after it has been granted so often in a request; the guard asks first."""

    def __init__(self, granted):
        super().__init__(None)
        self.granted = granted

    def visitor(self, scope):
        if scope.setdefault("asked", 0) == self.granted:
            raise ForbiddenError("your role has been taken away")
        scope["asked"] += 1
        return super().visitor(scope)


def test_a_role_that_is_taken_away_behind_the_guard_is_refused_too(tmp_path):
    async def main():
        async with coordinator(tmp_path) as lab:
            task_id = await lab.create()
            async with dashboard(lab.admin, visitors=Fickle(1)) as visitor:
                for answer in (await visitor.get("/"), await visitor.post(f"/tasks/{task_id}/pause")):
                    assert (answer.status, answer.text) == (403, "your role has been taken away\n")
                    assert "content-security-policy" in answer.headers

    asyncio.run(main())


def test_a_role_that_is_taken_away_while_the_form_is_under_way_changes_nothing(tmp_path):
    async def main():
        async with coordinator(tmp_path) as lab:
            task_id = await lab.create()
            async with dashboard(lab.admin, visitors=Fickle(2)) as visitor:
                token = (await visitor.get(f"/tasks/{task_id}")).token
                assert (await visitor.post(f"/tasks/{task_id}/pause", token)).status == 403
                assert (await lab.task(task_id)).state == TASK_STATE_RUNNING

    asyncio.run(main())
