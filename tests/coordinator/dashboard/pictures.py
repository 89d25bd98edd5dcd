"""Takes the pictures of docs/dashboard.md: `python -m tests.coordinator.dashboard.pictures docs/images`.

The tasks are those of a real coordinator, with devices that draw what they do from a seed.
"""

import asyncio
import io
import random
import sys
import tempfile
from pathlib import Path

from PIL import Image

from coordinator.dashboard import counters
from coordinator.metrics.scrape import Scrape
from tests.coordinator import conftest as tools
from tests.coordinator.dashboard import chromium
from tests.coordinator.dashboard.labs import coordinator, dashboard

WIDE, NARROW = 1280, 400
COLOURS = 256
"""Colours of a picture, so that it takes a third of the bytes."""


class Devices:
    """Devices of which every sixth gives its place back."""

    def __init__(self, lab):
        self._lab, self._draws = lab, random.Random(7)

    async def contribute(self, population, contributions):
        """Checks in until so many contributions have been made."""
        while contributions:
            answer = await self._lab.check_in(population)
            if answer.WhichOneof("result") != "assignment":
                await asyncio.sleep(0.01)
            elif self._draws.random() < 1 / 6:
                await self._lab.fail(answer.assignment)
            else:
                await self._lab.fetch(answer.assignment.checkpoint.sha256)
                await self._lab.upload(answer.assignment, tools.make_contribution(self._draws.randrange(10**6)))
                contributions -= 1
                await asyncio.sleep(self._draws.random() / 50)


async def tasks(lab):
    """Makes a task of each kind; returns their ids by the pictures' names."""
    devices, made = Devices(lab), {}

    async def create(name, population, rounds, goal, **closing):
        bundle = tools.make_bundle(
            population=population, rounds=rounds, closing=tools.closing(goal, **closing), clip_norm=10
        )
        made[name] = await lab.create(bundle)

    await create("finished", "books", 24, 5)
    await devices.contribute("books", 24 * 5)
    await create("running", "movies", 60, 8)
    await devices.contribute("movies", 26 * 8 + 5)
    await create("failed", "music", 40, 6, deadline=1.0)
    await devices.contribute("music", 4 * 6)
    while (await lab.task(made["failed"])).attempt < 3:
        await lab.check_in("music")
        await asyncio.sleep(0.1)
    await lab.stop(made["failed"])
    await create("empty", "games", 30, 4)
    await lab.check_in("nobody")
    return made


async def main(folder):
    with tempfile.TemporaryDirectory() as state:
        async with coordinator(Path(state)) as lab:
            made = await tasks(lab)
            registry = lab.coordinator.metrics.registry
            with Scrape("127.0.0.1:0", lambda: registry, lambda: "serving") as scrape:
                async with dashboard(lab.admin, counters=lambda: counters.read(scrape.address)) as visitor:
                    await asyncio.to_thread(take, folder, visitor.origin, made)


def take(folder, origin, made):
    """Takes a picture of each page at both widths, and of the running task in dark colours."""
    pages = {"tasks": "/", **{name: f"/tasks/{task_id}" for name, task_id in made.items()}}
    with chromium.page() as page:
        for name, path in pages.items():
            for suffix, width, scheme in (("", WIDE, "light"), ("-narrow", NARROW, "light"), ("-dark", WIDE, "dark")):
                if scheme == "light" or name == "running":
                    page.open(f"{origin}{path}")
                    picture = Image.open(io.BytesIO(page.picture(width, scheme))).convert("RGB")
                    picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
                        folder / f"dashboard-{name}{suffix}.png", optimize=True
                    )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
