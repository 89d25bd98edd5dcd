"""Fleets of devices of both SDKs, which train over real gRPC, each with the same data in every fleet."""

import sqlite3
from contextlib import contextmanager
from itertools import cycle

from client_sdk import FedClient
from scripts.conformance import tasks
from tests.typescript import nodes

DEVICES = 4

KINDS = [
    {"kind": "view"},
    {"kind": "purchase", "weight": 0.7},
    {"kind": "dislike"},
    {"kind": "rating", "value": 3.5},
    {"kind": "rating", "value": 1.0},
    {"kind": "like"},
]


SAME_NAMES = """
import secrets
from collections import defaultdict
from itertools import count
numbers = defaultdict(lambda: count(0x5a))
secrets.token_hex = lambda size: f"{next(numbers[size]):02x}" * size  # so that all fleets have tasks of the same ids
from coordinator.__main__ import main
main()
"""


def data_of(number):
    """Returns the key, the interactions and the attributes of a device."""
    attributes = {0: {"gender": "F"}, 1: {"gender": "M"}, 2: {"gender": "F"}}.get(number, {})
    items = tasks.ITEMS[number * 5 : number * 5 + 20 : 2]
    records = [{"item": item, **kind} for item, kind in zip(items, cycle(KINDS), strict=False)]
    return bytes([number] * 16), records, attributes


def open_python(folder, server, number):
    """Opens a device of the Python SDK."""
    key, records, attributes = data_of(number)
    FedClient.open(folder, server.address, server.population).close()
    with sqlite3.connect(folder / "state.db") as database:
        database.execute("UPDATE client SET key = ?", (key,))
    database.close()
    client = FedClient.open(folder, server.address, server.population)
    for record in records:
        client.record(**record)
    for name, value in attributes.items():
        client.set_attribute(name, value)
    return client


class Fleet:
    """The devices of a fleet: first those of the Python SDK, then those of the TypeScript SDK."""

    def __init__(self, clients, others, typescript):
        self._clients, self._others, self._numbers = clients, others, range(typescript)

    def train(self):
        """Lets each device contribute once."""
        for client in self._clients:
            while client.sync().result.value != "uploaded":
                pass  # the round before is being committed
        for number in self._numbers:
            while self._others.sync(number)["result"] != "uploaded":
                pass

    def best(self):
        """Returns the recommendations of each device, with their scores."""
        best = [[(each.item, each.score) for each in client.recommend(k=9)] for client in self._clients]
        return best + [[(e["item"], e["score"]) for e in self._others.recommend(n, k=9)] for n in self._numbers]


@contextmanager
def fleet(folder, server, typescript):
    """Opens a fleet with so many devices of the TypeScript SDK."""
    clients = []
    with nodes.devices() as others:
        try:
            for number in range(DEVICES - typescript):
                clients.append(open_python(folder / f"{typescript}-{number}", server, number))
            for number in range(len(clients), DEVICES):
                others.open(folder / f"{typescript}-{number}", server, *data_of(number))
            yield Fleet(clients, others, typescript)
        finally:
            for client in clients:
                client.close()
