"""Operators look at tasks of a real coordinator and change them; what goes wrong is said, and passes by itself."""

import asyncio
import re

import pytest

pytest.importorskip("jinja2", reason="the extra web is not installed")

from coordinator.dashboard import counters
from coordinator.metrics.scrape import Scrape
from fedau2.v1.admin_pb2 import TASK_STATE_PAUSED, TASK_STATE_RUNNING, TASK_STATE_STOPPED
from tests.coordinator.dashboard.labs import both, coordinator, dashboard
from tests.durability.server import free_port

pytestmark = pytest.mark.filterwarnings("error")


def words(text):
    """The text of a page, without its elements."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def test_a_page_without_tasks_says_how_to_make_one(tmp_path):
    async def main():
        async with both(tmp_path) as (_, visitor):
            answer = await visitor.get("/")
            assert answer.status == 200
            assert "There is no task yet." in answer.text

    asyncio.run(main())


def test_tasks_are_listed_and_a_task_shows_its_rounds(tmp_path):
    async def main():
        async with both(tmp_path) as (lab, visitor):
            task_id = await lab.create()
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
            await lab.fail(await lab.assignment())
            await lab.contribute([3])
            listed = await visitor.get("/")
            assert f'href="/tasks/{task_id}"' in listed.text
            assert "movies running 1 of 3 1 of 3 0" in words(listed.text)
            shown = words((await visitor.get(f"/tasks/{task_id}")).text)
            task, (first, second) = await lab.task(task_id), await lab.rounds(task_id)
            for sentence in (
                "running 1 of 3 rounds are over. Round 1 is collecting: 1 of 3 contributions, 0 devices at work.",
                f"After round 0 the norm of the model is {first.norms.model:.3g}.",
                f"median norm is {first.norms.shared.median:.3g}",
                "Devices of round 1: 1 completed, 1 dropped, 0 refused.",
                "completed 4 dropped: given back, or the lease ran out 1",
                "Secure sums off: the coordinator reads each contribution ✗ no",
                f"Model of {task.checkpoint.size} bytes",
            ):
                assert sentence in shown
            assert (first.reported, second.failed) == (3, 1)

    asyncio.run(main())


def test_an_open_page_follows_the_task_until_it_is_over(tmp_path):
    async def main():
        async with both(tmp_path) as (lab, visitor):
            task_id = await lab.create()
            async with visitor.watch(f"/tasks/{task_id}/live") as following:
                assert "0 of 3 rounds are over" in await following()
                for number in range(3):
                    await lab.contribute([0, 1, 2])
                    while f"{number + 1} of 3 rounds are over" not in (parts := await following()):
                        pass
                assert "finished" in words(parts)
            assert f'href="/tasks/{task_id}"' in await visitor.until("/live", "finished")

    asyncio.run(main())


def test_buttons_pause_start_and_stop_a_task(tmp_path):
    async def main():
        async with both(tmp_path) as (lab, visitor):
            task_id = await lab.create()
            path = f"/tasks/{task_id}"
            for change, state in (("pause", TASK_STATE_PAUSED), ("resume", TASK_STATE_RUNNING)):
                page = await visitor.get(path)
                assert f'action="{path}/{change}"' in page.text
                answer = await visitor.post(f"{path}/{change}", page.token)
                assert (answer.status, answer.headers["location"]) == (303, path)
                assert (await lab.task(task_id)).state == state
            question = await visitor.get(f"{path}/stop")
            assert "ends for good" in question.text
            assert (await lab.task(task_id)).state == TASK_STATE_RUNNING
            assert (await visitor.post(f"{path}/stop", question.token)).status == 303
            assert (await lab.task(task_id)).state == TASK_STATE_STOPPED
            assert (await visitor.get(path)).buttons == []

    asyncio.run(main())


def test_the_second_of_two_operators_is_told_what_the_first_has_done(tmp_path):
    async def main():
        async with both(tmp_path) as (lab, anna), dashboard(lab.admin) as otto:
            task_id = await lab.create()
            path = f"/tasks/{task_id}"
            page, question = await anna.get(path), await otto.get(f"{path}/stop")
            same = await asyncio.gather(*(anna.post(f"{path}/pause", page.token) for _ in range(2)))
            assert [answer.status for answer in same] == [303, 303]
            assert (await otto.post(f"{path}/stop", question.token)).status == 303
            late = await anna.post(f"{path}/resume", page.token)
            assert late.status == 409
            assert f"task {task_id} is stopped; create another" in late.text
            assert "stopped" in words(late.text)
            assert late.buttons == []
            assert (await lab.task(task_id)).state == TASK_STATE_STOPPED

    asyncio.run(main())


def test_a_coordinator_that_goes_away_is_named_and_the_page_goes_on_when_it_is_back(tmp_path):
    async def main():
        address = f"127.0.0.1:{free_port()}"
        async with dashboard(address) as visitor:
            answer = await visitor.get("/")
            assert answer.status == 503
            assert f"no coordinator answers on {address}" in answer.text
            async with coordinator(tmp_path / "state", address) as lab:
                task_id = await lab.create()
                async with visitor.watch(f"/tasks/{task_id}/live") as following:
                    assert "0 of 3 rounds" in await following()
                    await lab.contribute([0])
            async with visitor.watch(f"/tasks/{task_id}/live") as following:
                assert 'id="problem"' in await following()
                assert (await visitor.post(f"/tasks/{task_id}/pause")).status == 403
                async with coordinator(tmp_path / "state", address):
                    while "1 of 3 contributions" not in (parts := await following()):
                        assert 'id="problem"' in parts
                    assert 'id="problem"' not in parts

    asyncio.run(main())


def test_a_task_that_has_vanished_is_named(tmp_path):
    async def main():
        address = f"127.0.0.1:{free_port()}"
        async with dashboard(address) as visitor:
            async with coordinator(tmp_path / "state", address) as lab:
                task_id = await lab.create()
                token = (await visitor.get(f"/tasks/{task_id}")).token
            async with coordinator(tmp_path / "other", address):
                parts = await visitor.until(f"/tasks/{task_id}/live", "no task")
                assert 'id="problem"' in parts
                for answer in (
                    await visitor.get(f"/tasks/{task_id}"),
                    await visitor.get(f"/tasks/{task_id}/stop"),
                    await visitor.post(f"/tasks/{task_id}/pause", token),
                ):
                    assert answer.status == 404
                    assert "no task" in answer.text

    asyncio.run(main())


@pytest.mark.parametrize(
    "path", ["/tasks/%3Cscript%3E", "/tasks/..%2f..", "/nothing", "/static/../app.py", "/tasks/x/y"]
)
def test_other_paths_are_not_found(tmp_path, path):
    async def main():
        async with both(tmp_path) as (_, visitor):
            answer = await visitor.get(path)
            assert answer.status in (404, 405)
            assert "<script>" not in answer.text

    asyncio.run(main())


def test_a_change_that_there_is_not_is_refused(tmp_path):
    async def main():
        async with both(tmp_path) as (lab, visitor):
            task_id = await lab.create()
            token = (await visitor.get(f"/tasks/{task_id}")).token
            assert (await visitor.post(f"/tasks/{task_id}/erase", token)).status == 404

    asyncio.run(main())


def test_bytes_and_rejections_are_shown_where_the_metrics_are_named(tmp_path):
    async def main():
        async with coordinator(tmp_path) as lab:
            task_id = await lab.create()
            await lab.contribute([0])
            await lab.check_in("nobody")
            registry = lab.coordinator.metrics.registry
            with Scrape("127.0.0.1:0", lambda: registry, lambda: "serving") as scrape:
                source = scrape.address
                async with dashboard(lab.admin, counters=lambda: counters.read(source)) as visitor:
                    shown = words((await visitor.get(f"/tasks/{task_id}")).text)
                    assert re.search(r"bytes received [1-9]\d* bytes", shown)
                    assert "check-ins turned away: no task 1" in shown
            async with dashboard(lab.admin, counters=lambda: counters.read(source)) as visitor:
                answer = await visitor.get(f"/tasks/{task_id}")
                assert answer.status == 200
                assert f"the metrics on {source} cannot be read" in answer.text
                assert "0 of 3 rounds are over" in words(answer.text)

    asyncio.run(main())
