"""The test environment for apps, as an app's tests would use it."""

import asyncio
import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from client_sdk import FedClient, Result
from client_sdk.errors import LocalCoordinatorError, TransportError, UsageError
from client_sdk.testing import LocalCoordinator

SONGS = [f"song-{number}" for number in range(12)]


@pytest.fixture(scope="module")
def server():
    with LocalCoordinator(items=SONGS, attribute="gender") as started:
        yield started


@pytest.fixture
def client(server, tmp_path):
    with FedClient.open(tmp_path / "state", server.address, server.population) as opened:
        opened.record("song-3")
        yield opened


def test_one_client_is_enough_for_a_round(server, client):
    before = server.rounds_committed()
    client.set_attribute("gender", "F")
    server.train(client, rounds=2)
    assert server.rounds_committed() == before + 2
    assert {each.item for each in client.recommend(12)} == set(SONGS) - {"song-3"}


def test_a_round_can_be_waited_for(server, client):
    before = server.rounds_committed()
    assert client.sync().result is Result.UPLOADED
    server.wait_for_round(before + 1)
    assert server.rounds_committed() == before + 1


def test_a_round_that_does_not_come_is_explained(server):
    with pytest.raises(LocalCoordinatorError, match=r"has 0 of 1 contributions: let more clients sync"):
        server.wait_for_round(server.rounds_committed() + 1, timeout=0)


class Dying(BaseException):
    pass


class DyingEngine:
    def begin(self, job):
        raise Dying


def test_a_client_that_cannot_contribute_is_told(server, tmp_path):
    with LocalCoordinator(bundle=server.bundle) as own:
        dying = FedClient.open(tmp_path / "a", own.address, own.population, engine=DyingEngine())
        client = FedClient.open(tmp_path / "b", own.address, own.population)
        with dying, client:
            dying.record("song-1")
            client.record("song-1")
            with pytest.raises(Dying):
                dying.sync()  # has checked in, and keeps the round's only place
            with pytest.raises(LocalCoordinatorError, match="did not contribute: rejected REJECTION_REASON_ROUND_FULL"):
                own.train(client)


def test_a_bundle_is_served_to_a_coroutine_and_nothing_is_left(server, tmp_path, monkeypatch):
    async def life(folder):
        async with LocalCoordinator(bundle=server.bundle, goal=2, rounds=1) as own:
            clients = [FedClient.open(folder / name, own.address, own.population) for name in "ab"]
            for client in clients:
                client.record("song-1")
            await asyncio.to_thread(own.train, *clients)
            assert await asyncio.to_thread(own.rounds_committed) == 1
        with pytest.raises(TransportError):
            clients[0].sync()
        assert clients[1].recommend(3)
        for client in clients:
            client.close()
        return own

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = asyncio.run(life(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    for act in (own.rounds_committed, lambda: own.wait_for_round(1), own.train):
        with pytest.raises(LocalCoordinatorError, match=r"does not run: call start\(\)"):
            act()
    own.stop()
    assert own.address


def test_neither_a_proxy_nor_an_odd_path_of_temporary_files_is_in_its_way(server, tmp_path, monkeypatch):
    folder = tmp_path / "feature%2Fx a%41 #?"
    folder.mkdir()
    for variable in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with (
        LocalCoordinator(bundle=server.bundle) as own,
        FedClient.open(tmp_path / "state", own.address, own.population) as client,
    ):
        client.record("song-3")
        own.train(client)
        assert own.rounds_committed() == 1
        assert list(folder.glob("*/state/ledger.sqlite"))


@pytest.mark.parametrize("arguments", [{}, {"items": SONGS, "bundle": "bundle"}])
def test_items_or_a_bundle_are_needed(arguments):
    with pytest.raises(UsageError, match="either items or a bundle"):
        LocalCoordinator(**arguments)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"items": []}, "items is empty"),
        ({"items": "song"}, "items must be a list, not 'song'"),
        ({"items": 3}, "items must be a list, not 3"),
        ({"items": SONGS, "classes": 5}, "classes must be a list, not 5"),
        ({"items": SONGS, "attribute": "age", "classes": "FM"}, "classes must be a list, not 'FM'"),
        ({"bundle": 3}, "bundle must be the path of a folder, not 3"),
        ({"items": ["a", "b", "a"]}, "lists 'a' twice"),
        ({"items": ["a", ""]}, "item must be a string that is not empty"),
        ({"items": ["a\nb"]}, "line break"),
        ({"items": [1, 2]}, "item must be a string"),
        ({"items": SONGS, "attribute": ""}, "attribute must be a string that is not empty"),
        ({"items": SONGS, "attribute": "a.b"}, "must not contain a dot"),
        ({"items": SONGS, "attribute": "age", "classes": ["old"]}, "fewer than two classes"),
        ({"items": SONGS, "attribute": "age", "classes": ["old", "old"]}, "a class is listed twice"),
    ],
)
def test_what_cannot_be_a_task_is_refused_at_once(arguments, text):
    with pytest.raises(UsageError, match=text):
        LocalCoordinator(**arguments)


@pytest.mark.parametrize("numbers", [{"goal": 0}, {"goal": True}, {"rounds": 1.0}, {"rounds": "1"}])
def test_its_numbers_are_whole_numbers(numbers):
    LocalCoordinator(items=SONGS, goal=np.int64(1), rounds=np.uint8(3))
    with pytest.raises(UsageError, match="must be a whole number from 1 up"):
        LocalCoordinator(items=SONGS, **numbers)


def test_before_it_is_started_it_says_so():
    own = LocalCoordinator(items=SONGS)
    for act in (own.rounds_committed, lambda: own.wait_for_round(1), own.train):
        with pytest.raises(LocalCoordinatorError, match=r"does not run: call start\(\)"):
            act()
    for name in ("address", "admin", "bundle"):
        with pytest.raises(LocalCoordinatorError, match=f"no {name} yet: call start"):
            getattr(own, name)
    with pytest.raises(AttributeError, match="unheard_of"):
        own.unheard_of  # noqa: B018
    own.stop()


def test_it_is_started_once_at_a_time(server):
    with LocalCoordinator(bundle=server.bundle) as own:
        with pytest.raises(LocalCoordinatorError, match="runs already"):
            own.start()
        assert own.rounds_committed() == 0


def test_what_is_no_bundle_is_named(tmp_path):
    with pytest.raises(LocalCoordinatorError, match="is not a bundle"), LocalCoordinator(bundle=tmp_path):
        pass


def test_it_needs_nothing_that_building_bundles_needs(tmp_path):
    code = """
import sys
sys.modules |= dict.fromkeys(("torch", "onnxscript", "onnx", "yaml", "pydantic"))
from client_sdk import FedClient
from client_sdk.testing import LocalCoordinator
with LocalCoordinator(items=["a", "b", "c", "d"], attribute="age", classes=["young", "old"]) as server:
    with FedClient.open(sys.argv[1], server.address, server.population) as client:
        client.record("a")
        client.set_attribute("age", "old")
        server.train(client)
        print(len(client.recommend(3)))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.stdout == "3\n", done.stderr


def test_missing_extras_are_named(tmp_path):
    code = """
import sys
import tempfile
sys.modules["sqlalchemy"] = None
from client_sdk.testing import LocalCoordinator
try:
    LocalCoordinator(items=["a"]).start()
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert "LocalCoordinatorError" in done.stdout, done.stderr
    assert "pip install 'fedau2[coordinator]'" in done.stdout
