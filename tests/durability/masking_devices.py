"""Devices in rounds with secure sums: each is a `FedClient` with its state folder, in processes that may be killed."""

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import torch

from client_sdk import FedClient, Unmasker
from client_sdk.errors import TransportError
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.wishes import Result
from tests.durability.devices import POPULATION, Fleet

_PAUSE = 0.1
"""Seconds after which a device without a place comes again."""


@dataclass(frozen=True)
class Task:
    """What the devices of a run know.

    Attributes:
        fleet: the devices; all of them are each round's cohort.
        task_id: the task.
        coordinator: its address for devices.
        unmasker: its address for devices.
        key: the unmasker's public key, in PEM.
        kills: number of kills that are spread over the rounds.
    """

    fleet: Fleet
    task_id: str
    coordinator: str
    unmasker: str
    key: bytes
    kills: int


def work(task, number, killed):
    """A process with its share of the devices. All that it knows when it starts again is in their state folders.

    Args:
        task: as above.
        number: of the process.
        killed: a shared value, the number of kills so far. A round begins once it is its turn by this number.
    """
    torch.set_num_threads(1)
    engine, known, fleet = TorchEngine(), Unmasker(task.unmasker, task.key), task.fleet
    with ExitStack() as stack:
        clients = [
            stack.enter_context(
                FedClient.open(
                    fleet.state(device),
                    task.coordinator,
                    POPULATION,
                    engine=engine,
                    unmaskers=[known],
                    enrolment=("open", b""),
                )
            )
            for device in range(number, fleet.devices, fleet.workers)
        ]
        for turn in range(fleet.rounds):
            while killed.value < task.kills * turn // fleet.rounds:
                time.sleep(_PAUSE)
            for client in clients:
                _contribute(client, task.task_id, turn)


def _contribute(client, task_id, number):
    """Syncs until the device has contributed to a round, however often somebody dies."""
    while (newest := client._store.contributed(task_id)) is None or newest < number or client._store.staged():
        with suppress(TransportError):
            if client.sync().result is Result.UPLOADED:
                continue
        time.sleep(_PAUSE)
