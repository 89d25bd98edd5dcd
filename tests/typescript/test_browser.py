"""Devices in Chromium take part over the Connect protocol, and their state outlives their pages."""

import json
import subprocess
import sys

import pytest

from scripts.browser import coordinator as coordinators
from scripts.browser.coordinator import POPULATION, web_coordinator
from scripts.conformance import tasks
from tests.typescript import browsers
from tests.typescript.fleets import SAME_NAMES, data_of, open_python

pytestmark = browsers.needs_browser

DEVICES, ROUNDS, BEST = 3, 2, 9
PART = 2**18
LARGE = {"model": {"gmf": 64, "mlp": 256, "hidden": [256, 128]}}
ITEMS = [f"item-{number}" for number in range(50)]


@pytest.fixture(scope="module")
def chromium():
    with browsers.browser() as browser:
        yield browser


@pytest.fixture
def same_task(monkeypatch):
    command = [sys.executable, "-c", SAME_NAMES]
    monkeypatch.setattr(coordinators, "_command", lambda *arguments: [*command, *arguments])


class Server:
    """A coordinator as `open_python` knows it."""

    def __init__(self, coordinator):
        self.address, self.population = coordinator.devices, POPULATION


def train(folder, chromium, in_pages):
    """Trains a fleet with so many devices in pages, and returns what all devices recommend."""
    with web_coordinator(tasks.FOLDER / "fedncf", chromium.origin, goal=DEVICES) as coordinator:
        clients = [
            open_python(folder / str(number), Server(coordinator), number) for number in range(DEVICES - in_pages)
        ]
        pages = [
            chromium.open(f"{folder.name} {number}", coordinator.web, POPULATION, *data_of(number))
            for number in range(len(clients), DEVICES)
        ]
        for number in range(ROUNDS):
            for client in clients:
                assert client.sync().result.value == "uploaded"
            for page in pages:
                assert chromium.ask("sync", page)["result"] == "uploaded"
            coordinator.wait_for_round(number + 1)
        best = [{each.item: each.score for each in client.recommend(k=BEST)} for client in clients]
        best += [{each["item"]: each["score"] for each in chromium.ask("recommend", page, k=BEST)} for page in pages]
        for client in clients:
            client.close()
        return best


@pytest.mark.slow
@pytest.mark.usefixtures("same_task")
def test_browsers_and_python_devices_train_together(tmp_path, chromium):
    expected = train(tmp_path / "python", chromium, in_pages=0)
    found = train(tmp_path / "mixed", chromium, in_pages=2)
    assert found == [pytest.approx(best, rel=1e-4) for best in expected]


def test_a_page_that_is_loaded_anew_goes_on_and_a_second_tab_is_refused(chromium):
    with web_coordinator(tasks.FOLDER / "fedncf", chromium.origin) as coordinator:
        page = chromium.open("reloaded", coordinator.web, POPULATION, *data_of(1))
        assert chromium.ask("sync", page)["result"] == "uploaded"
        before = chromium.ask("recommend", page, k=BEST)
        with pytest.raises(AssertionError, match="StoreLockedError"):
            chromium.ask("rival", page)
        chromium.ask("reload", page)
        assert chromium.ask("recommend", page, k=BEST) == before
        assert chromium.ask("recorded", page) == [record["item"] for record in data_of(1)[1]]


def test_what_was_not_sent_before_the_page_was_killed_is_sent_and_refused_with_a_window(tmp_path, chromium):
    with web_coordinator(tasks.FOLDER / "fedncf", chromium.origin) as coordinator:
        page = chromium.open("late", coordinator.web, POPULATION, *data_of(2))
        chromium.ask("crash", page, part=1)
        with open_python(tmp_path, Server(coordinator), 1) as client:
            assert client.sync().result.value == "uploaded"
        coordinator.wait_for_round(1)
        outcome = chromium.ask("sync", page)
        assert outcome["result"] == "refused"
        assert outcome["retry"]["latest"] >= outcome["retry"]["earliest"] > 0
        assert chromium.ask("sync", page)["result"] == "uploaded"


@pytest.mark.slow
def test_an_upload_goes_on_where_the_page_was_killed(tmp_path, chromium):
    with web_coordinator(large_bundle(tmp_path), chromium.origin) as coordinator:
        page = chromium.open("killed", coordinator.web, POPULATION, bytes(16), ITEMS[::3], {})
        chromium.ask("crash", page, part=2)
        assert chromium.ask("parts", page) == [0, PART]
        assert chromium.ask("sync", page)["result"] == "uploaded"
        assert chromium.ask("parts", page)[2] == PART
        coordinator.wait_for_round(1)


def large_bundle(folder):
    """Builds a bundle whose contributions have several parts."""
    plan, items, bundle = folder / "plan.json", folder / "items.txt", folder / "bundle"
    plan.write_text(json.dumps(LARGE))
    items.write_text("".join(f"{item}\n" for item in ITEMS))
    parts = ("--model=fedncf", f"--items={items}", f"--plan={plan}", "--seed=1", f"--out={bundle}")
    subprocess.run([sys.executable, "-m", "export", "bundle", *parts], check=True)
    return bundle
