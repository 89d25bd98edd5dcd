"""axe finds no serious fault in any page: contrast, names, headings, tables, and what screen readers need."""

import asyncio
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("jinja2", reason="the extra web is not installed")

from tests.coordinator import conftest as tools
from tests.coordinator.dashboard import chromium
from tests.coordinator.dashboard.labs import both

FOUND = find_spec("axe_core_python")
pytestmark = [
    chromium.needs_chromium,
    pytest.mark.skipif(FOUND is None, reason="the package axe-core-python is not installed"),
]

SERIOUS = ("serious", "critical")


async def tasks(lab):
    """Makes a task of each kind; returns the paths of the pages by name."""
    made = {}

    async def create(name, **options):
        made[name] = await lab.create(tools.make_bundle(population=name, closing=tools.closing(1), **options))

    async def contribute(name, seeds):
        for seed in seeds:
            while not (response := await lab.check_in(name)).HasField("assignment"):
                await asyncio.sleep(0.001)
            await lab.upload(response.assignment, tools.make_contribution(seed))

    await create("empty")
    await create("running", rounds=9)
    await contribute("running", range(3))
    await create("finished", rounds=2)
    await contribute("finished", range(2))
    await lab.committed(made["finished"], 2)
    await create("stopped")
    await lab.stop(made["stopped"])
    paths = {name: f"/tasks/{task_id}" for name, task_id in made.items()}
    return paths | {"tasks": "/", "question": f"{paths['running']}/stop", "nothing": "/tasks/nothing"}


def faults(page, address, scheme):
    """The serious faults of a page in a colour scheme, as texts."""
    page.open(address)
    page.colours(scheme)
    page.value(Path(FOUND.submodule_search_locations[0], "axe.min.js").read_text("utf-8") + ";true")
    results = page.value("axe.run(document, {resultTypes: ['violations']})")
    assert len(results["passes"]) > 10, "axe has looked at the page"
    return [
        f"{fault['impact']}: {fault['help']}: {fault['nodes'][0]['html'][:100]}"
        for fault in results["violations"]
        if fault["impact"] in SERIOUS
    ]


def test_no_page_has_a_serious_fault(tmp_path):
    async def main():
        async with both(tmp_path) as (lab, visitor):
            pages = await tasks(lab)
            return await asyncio.to_thread(look, visitor.origin, pages)

    def look(origin, pages):
        with chromium.page() as page:
            return {
                (name, scheme): found
                for name, path in pages.items()
                for scheme in (("light", "dark") if name == "running" else ("light",))
                if (found := faults(page, f"{origin}{path}", scheme))
            }

    assert asyncio.run(main()) == {}
