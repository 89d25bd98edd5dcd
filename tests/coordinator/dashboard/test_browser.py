"""The page of a running task in Chromium: it follows the task, asks nobody else, and works by keyboard."""

import asyncio

import pytest

pytest.importorskip("jinja2", reason="the extra web is not installed")

from fedau2.v1.admin_pb2 import TASK_STATE_PAUSED
from tests.coordinator.dashboard import chromium
from tests.coordinator.dashboard.labs import both

pytestmark = chromium.needs_chromium


def test_the_page_of_a_running_task(tmp_path):
    async def main():
        async with both(tmp_path) as (lab, visitor):
            task_id = await lab.create()
            with chromium.page() as page:
                await follows(lab, page, f"{visitor.origin}/tasks/{task_id}")
                await obeys_keys(lab, page)
                assert page.complaints == []
                assert {address.split("/tasks")[0].split("/static")[0] for address in page.requests} == {visitor.origin}

    asyncio.run(main())


async def follows(lab, page, address):
    """Opens the page of a task, which keeps up without being loaded again."""
    await asyncio.to_thread(page.open, address)
    page.value("window.same = true")
    await lab.contribute([0, 1, 2])
    await asyncio.to_thread(page.until, "document.body.innerText.includes('1 of 3 rounds are over')")
    await asyncio.to_thread(page.until, "document.querySelectorAll('svg[role=img]').length === 4")
    assert page.value("window.same")
    said = page.value("document.getElementById('said').textContent")
    assert " ".join(said.split()) == "running 1 of 3 rounds are over."
    names = page.value("[...document.querySelectorAll('svg[role=img] title')].map((title) => title.textContent)")
    assert names == ["Rounds over time", "Devices by outcome", "Norms of contributions", "Norm of the model"]


async def obeys_keys(lab, page):
    """Goes to the first button by keyboard and presses it; the page that comes back has the other button."""
    seen = []
    while not seen or seen[-1] != "Pause":
        page.press("Tab")
        seen.append(page.value("document.activeElement.textContent.trim()"))
        assert len(seen) < 10, seen
    assert seen[0] == "Skip to the content"
    page.press("Enter")
    await asyncio.to_thread(page.until, "document.querySelector('#controls button')?.textContent === 'Start again'")
    assert (await lab.only_task()).state == TASK_STATE_PAUSED
