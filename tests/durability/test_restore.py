"""A copy is restored as docs/durability.md says, and the devices that took part after it was made go on."""

import shutil
import signal
import time
from contextlib import ExitStack

import pytest

from client_sdk import FedClient
from client_sdk.kernel import fedncf
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.wishes import Result
from coordinator.cli import main
from export import bundle as bundles
from tests import plans
from tests.durability.audit import books
from tests.durability.devices import ITEMS
from tests.durability.server import Coordinator

DEVICES = 3
UPLOADED, TOO_SOON = "UPLOADED", "FAILURE_REASON_TOO_SOON"


@pytest.fixture
def coordinator(tmp_path):
    """Rounds of three contributions, for three devices."""
    widths = fedncf.Widths(gmf=4, mlp=8, hidden=(8, 4))
    bundles.write(bundles.build("fedncf", ITEMS, plans.make("fedncf", plans.GENDER), 0, widths), tmp_path / "bundle")
    running = Coordinator(tmp_path)
    start(running)
    options = ("--rounds", 50, "--goal", DEVICES, "--over-selection", 3)
    running.create_task(tmp_path / "bundle", "movies", *options)
    yield running
    running.abandon()


@pytest.fixture
def clients(coordinator, tmp_path):
    with ExitStack() as stack:
        opened = []
        for number in range(DEVICES):
            folder = tmp_path / f"device-{number}"
            client = FedClient.open(folder, coordinator.addresses[0], "movies", engine=TorchEngine())
            opened.append(stack.enter_context(client))
            client.record_many(ITEMS[number : number + 5])
        yield opened


def start(coordinator):
    coordinator.start()
    coordinator.await_serving()


def answer(client):
    """The reason of a rejection, or `UPLOADED`. A round that is being committed is waited for."""
    while (outcome := client.sync()).reason == "REJECTION_REASON_ROUND_CLOSING":
        time.sleep(0.01)
    return outcome.reason if outcome.result is Result.REJECTED else outcome.result.name


def take_part(coordinator, clients):
    """Lets each device contribute once, and waits for the commit."""
    before = committed(coordinator)
    for client in clients:
        assert answer(client) == UPLOADED
    while committed(coordinator) == before:
        time.sleep(0.01)


def committed(coordinator):
    with books(coordinator.state) as ledger:
        return ledger.newest()[2]


def copy(coordinator, place):
    coordinator.end(signal.SIGTERM)
    shutil.copytree(coordinator.state, place)
    start(coordinator)


def restore(coordinator, place, *, accept=True):
    coordinator.end(signal.SIGTERM)
    shutil.rmtree(coordinator.state)
    shutil.copytree(place, coordinator.state)
    assert main(["doctor", "--state", str(coordinator.state)]) == 0
    if accept:
        assert main(["doctor", "--state", str(coordinator.state), "--accept-ledger"]) == 0
    start(coordinator)


def test_devices_that_took_part_after_the_copy_go_on(coordinator, clients, tmp_path):
    for _ in range(2):
        take_part(coordinator, clients)
    assert answer(clients[0]) == UPLOADED  # in the round that is open in the copy
    copy(coordinator, tmp_path / "copy")
    take_part(coordinator, clients[1:])
    for _ in range(2):
        take_part(coordinator, clients)
    restore(coordinator, tmp_path / "copy", accept=False)
    assert {answer(client) for client in clients} == {TOO_SOON}
    for _ in range(2):  # the second time, the same copy is restored again
        restore(coordinator, tmp_path / "copy")
        assert committed(coordinator) == 2
        assert answer(clients[0]) == UPLOADED
        assert answer(clients[0]) == TOO_SOON, "a round counts a device twice"
        take_part(coordinator, clients[1:])
        for _ in range(2):
            take_part(coordinator, clients)
        assert committed(coordinator) == 5
    coordinator.end(signal.SIGTERM)
    with books(coordinator.state) as ledger:
        rounds = [report.round for report in ledger.reports()]
    assert [rounds.count(number) for number in range(5)] == [DEVICES] * 5
