"""The whole house as its users see it: three commands, some devices, a killed server, recommendations offline."""

import subprocess
import sys

import pytest

from client_sdk import FedClient, Result, testing
from client_sdk.errors import AttributeValueError, NoDataError, TransportError

ITEMS = [f"movie-{number}" for number in range(40)]
DEVICES = 3


def command(module, *arguments, fails=False):
    result = subprocess.run([sys.executable, "-m", module, *map(str, arguments)], capture_output=True, text=True)
    assert (result.returncode != 0) == fails, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "items.txt").write_text("\n".join(ITEMS) + "\n")
    plan = "adversaries:\n- {attribute: gender, classes: [M, F], head: dsvae, trigger: sut}\n"
    (folder / "plan.yaml").write_text(plan)
    out = folder / "bundle"
    command("export", "bundle", "--model", "fedncf", "--items", folder / "items.txt", "--plan", folder / "plan.yaml",
            "--seed", 1, "--out", out)  # fmt: skip
    return out


@pytest.fixture
def coordinator(bundle):
    with testing.LocalCoordinator(bundle=bundle, rounds=2, goal=DEVICES) as server:
        yield server


@pytest.fixture
def devices(tmp_path, coordinator):
    clients = []
    for number in range(DEVICES):
        client = FedClient.open(tmp_path / f"device-{number}", coordinator.address, coordinator.population)
        for item in ITEMS[number : number + 12]:
            client.record(item)
        clients.append(client)
    clients[0].set_attribute("gender", "F")
    yield clients
    for client in clients:
        client.close()


def test_devices_train_two_rounds_and_recommend_offline(coordinator, devices):
    coordinator.train(*devices, rounds=2)
    assert devices[0].sync().reason == "REJECTION_REASON_NO_TASK"  # the task is finished
    assert "finished" in command("coordinator", "status", "--admin", coordinator.admin)

    coordinator.stop()
    for number, client in enumerate(devices):
        best = client.recommend(k=5)
        assert len(best) == 5
        assert not {each.item for each in best} & set(ITEMS[number : number + 12])
        assert [each.score for each in best] == sorted((each.score for each in best), reverse=True)
    with pytest.raises(TransportError):
        devices[0].sync()


def test_bad_input_is_explained_and_loses_nothing(devices):
    client = devices[1]
    assert client.sync().result is Result.UPLOADED
    client.record("movie-99")
    assert client.status().unlisted == 1
    with pytest.raises(AttributeValueError, match="M, F"):
        client.set_attribute("gender", "unknown")
    client.record("movie-30")
    assert "movie-30" not in {each.item for each in client.recommend(k=40)}


def test_a_device_without_data_takes_no_place(tmp_path, coordinator, devices):
    empty = FedClient.open(tmp_path / "empty", coordinator.address, coordinator.population)
    with empty:
        assert empty.sync().refreshed
        with pytest.raises(NoDataError):
            empty.sync()
    # The others fill the round.
    assert [client.sync().result for client in devices] == [Result.UPLOADED] * DEVICES
