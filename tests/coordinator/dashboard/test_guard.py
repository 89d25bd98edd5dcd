"""Pages of other sites can neither read the dashboard nor send its forms, and its own pages load nothing of others."""

import asyncio
import re

import pytest

pytest.importorskip("jinja2", reason="the extra web is not installed")

from coordinator.dashboard import guard
from coordinator.dashboard.guard import HEADERS
from fedau2.v1.admin_pb2 import TASK_STATE_RUNNING
from tests.coordinator.dashboard.labs import both


def test_every_answer_has_the_headers_that_keep_others_out(tmp_path):
    async def main():
        async with both(tmp_path) as (lab, visitor):
            task_id = await lab.create()
            paths = ["/", f"/tasks/{task_id}", f"/tasks/{task_id}/stop", "/static/live.js", "/nothing", "/tasks/x"]
            answers = [await visitor.get(path) for path in paths]
            answers += [await visitor.get("/", Host="evil.example.com"), await visitor.post(f"/tasks/{task_id}/pause")]
            for answer in answers:
                assert {name: answer.headers[name] for name in HEADERS} == HEADERS

    asyncio.run(main())
    policy = HEADERS["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_page_has_neither_scripts_nor_styles_in_it_and_names_no_other_host(tmp_path):
    async def main():
        async with both(tmp_path) as (lab, visitor):
            task_id = await lab.create()
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
            for path in ("/", f"/tasks/{task_id}", f"/tasks/{task_id}/stop"):
                text = (await visitor.get(path)).text
                assert re.findall(r"<script([^>]*)>(.*?)</script>", text, re.S) == [
                    (' src="/static/live.js" defer', "")
                ]
                assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
                assert not re.search(r"https?://|\s(?:src|href|action)=\"(?!/|#)", text)
            for name in ("live.js", "style.css"):
                static = await visitor.get(f"/static/{name}")
                assert static.status == 200
                assert not re.search(r"https?:|//[a-z]", static.text)

    asyncio.run(main())


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1.nip.io", "", "localhost.example.com:80"])
def test_a_name_of_another_site_that_leads_here_is_turned_away(tmp_path, host):
    async def main():
        async with both(tmp_path) as (lab, visitor):
            await lab.create()
            for path in ("/", "/live"):
                answer = await visitor.get(path, Host=host)
                assert answer.status == 403
                assert "movies" not in answer.text

    asyncio.run(main())


def test_only_a_form_of_the_page_changes_a_task(tmp_path):
    async def main():
        async with both(tmp_path) as (lab, visitor):
            task_id = await lab.create()
            path = f"/tasks/{task_id}/pause"
            token = (await visitor.get(f"/tasks/{task_id}")).token
            port = visitor.address.rpartition(":")[2]
            forged = [
                await visitor.post(path, token, Origin="http://evil.example.com"),
                await visitor.post(path, token, Origin="null"),
                await visitor.post(path, token, Origin=f"https://localhost:{port}"),
                await visitor.post(path, token, Origin=f"http://127.0.0.1:{port}"),
                await visitor.post(path),
                await visitor.post(path, "0" * 64),
                await visitor.post(path, "é"),
                await visitor.post(path, token + "x" * 2000),
            ]
            assert [answer.status for answer in forged] == [403] * len(forged)
            assert (await visitor.get(path)).status == 405
            assert (await lab.task(task_id)).state == TASK_STATE_RUNNING
            assert (await visitor.post(path, token)).status == 303

    asyncio.run(main())


def test_a_token_ends_with_the_dashboard(tmp_path):
    async def main():
        async with both(tmp_path / "one") as (lab, visitor):
            token = (await visitor.get(f"/tasks/{await lab.create()}")).token
        async with both(tmp_path / "two") as (lab, visitor):
            answer = await visitor.post(f"/tasks/{await lab.create()}/pause", token)
            assert answer.status == 403
            assert "load the page again" in answer.text

    asyncio.run(main())


def test_a_form_that_does_not_come_is_given_up_and_changes_nothing(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(guard, "PATIENCE", 0.05)

    async def main():
        async with both(tmp_path) as (lab, visitor):
            task_id = await lab.create()
            token = (await visitor.get(f"/tasks/{task_id}")).token
            answers = [await visitor.half_a_form(f"/tasks/{task_id}/pause", f"token={token}") for _ in range(3)]
            return answers, (await lab.task(task_id)).state

    answers, state = asyncio.run(main())
    assert state == TASK_STATE_RUNNING
    assert [answer.status for answer in answers] == [408] * 3
    assert "nothing was changed" in answers[0].text
    assert caplog.text.count("pause of a task by") == 1, "the log has one line a minute"
