"""The page of a task with secure sums while a real unmasker process works, goes away and comes back."""

import asyncio
import re
import subprocess
import sys
from types import SimpleNamespace

import grpc
import pytest

pytest.importorskip("jinja2", reason="the extra web is not installed")

from coordinator.engine.unmasking import Unmasker
from coordinator.grpc.unmasker_client import UnmaskerClient, identity
from fedau2.v1.admin_pb2 import ROUND_STATE_OPENING
from fedau2.v1.unmasker_pb2_grpc import EnrolmentServiceStub
from tests.coordinator import hidden
from tests.coordinator.dashboard.labs import both
from tests.coordinator.hidden import MINIMUM
from tests.durability.server import free_port

NOISE = {"noise_multiplier": 2.0, "max_participations": 2, "row_threshold": 0}


class Process:
    """`fedau2-unmasker serve`, always at the same address for coordinators."""

    def __init__(self, folder):
        self._folder, self.address = folder, f"127.0.0.1:{free_port()}"
        self._run("init")

    def _command(self, name, *options):
        return [sys.executable, "-m", "unmasker", name, "--state", str(self._folder), *options]

    def _run(self, name):
        subprocess.run(self._command(name), check=True, capture_output=True)

    def start(self):
        command = self._command("serve", "--accept", "open", "--listen", "127.0.0.1:0", "--coordinator", self.address)
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        lines = [self._child.stdout.readline() for _ in range(2)]
        self.devices = re.search(r"devices\S* on (\S+)", "".join(lines))[1]

    def kill(self):
        self._child.kill()
        self._child.wait()
        self._child.stdout.close()

    @property
    def identity(self):
        return identity(self._folder / "identity.pub")

    def enrolled(self, number):
        """Devices with certificates."""
        keys = SimpleNamespace(public=SimpleNamespace(identity=self.identity))
        known = SimpleNamespace(books=SimpleNamespace(keys=keys))
        with grpc.insecure_channel(self.devices) as channel:
            known.enrol = EnrolmentServiceStub(channel).Enrol
            return [hidden.Device(place, known) for place in range(number)]


@pytest.fixture
def process(tmp_path):
    made = Process(tmp_path / "unmasker")
    made.start()
    yield made
    made.kill()


def words(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


async def seen(visitor, path, *sentences):
    """Follows an open page until it has the sentences, and returns its words."""
    async with asyncio.timeout(60), visitor.watch(f"{path}/live") as following:
        text = ""
        while not all(sentence in text for sentence in sentences):
            text = words(await following())
    return text


def test_the_page_follows_a_round_whose_unmasker_goes_away_and_comes_back(tmp_path, process):
    twin, *others = process.enrolled(MINIMUM + 1)
    made = hidden.bundle(process.identity, goal=MINIMUM + 2, **NOISE)
    for grid in made.manifest.secure_sums.grids:
        grid.noise_share = 3**-0.5

    async def main():
        unmasker = Unmasker(process.identity, UnmaskerClient(process.address))
        async with both(tmp_path / "state", unmasker=unmasker) as (lab, visitor):
            cohort = hidden.Cohort(lab, made, await lab.create(made))
            path = f"/tasks/{cohort.task_id}"
            pages = [await seen(visitor, path, "opened 0")]
            places = await cohort.places([twin, twin, *others])
            process.kill()
            await cohort.upload(places)
            await cohort.until(lambda task: task.round_state == ROUND_STATE_OPENING)
            pages.append(await seen(visitor, path, "waits for the sum since", "UNAVAILABLE"))
            process.start()
            await cohort.over(1)
            pages.append(await seen(visitor, path, "opened 1"))
            return pages

    new, waiting, opened = asyncio.run(main())
    assert "Epsilon of differential privacy" not in new
    assert "Contributions of one device at most 2" in new
    assert re.search(r"Budget of epsilon at most [\d.]+ at delta 1e-06", new)
    assert re.search(r"waits for \d+\.\d s", waiting)
    assert "contributions refused 2" in opened
    assert "waits for the sum" not in opened
    assert re.search(r"Epsilon of differential privacy at most [\d.]+ at delta 1e-06, of all sums so far", opened)
