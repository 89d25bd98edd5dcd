"""Devices of the durability tests: SDK instances with state folders of their own, in processes that may be killed."""

import asyncio
import json
import os
import random
import resource
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import torch

from client_sdk.errors import TransportError
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.drivers import drive_async
from client_sdk.protocol.session import session
from client_sdk.protocol.wishes import Interrupted, Outcome, Result
from client_sdk.store.sqlite_store import SqliteStore
from client_sdk.transport.grpc_transport import AioGrpcTransport
from fedau2.v1 import admin_pb2, admin_pb2_grpc
from fedau2.wire.blobs import sha256

POPULATION = "movies"
ITEMS = [f"movie-{number}" for number in range(60)]

_PAUSE = 0.05
"""Seconds after which a device that was not answered comes again."""


@dataclass(frozen=True)
class Fleet:
    """The devices of one run, and how they behave.

    Attributes:
        folder: holds a state folder per device, the journals, and copies of what was uploaded.
        devices: how many there are.
        workers: processes that they are spread over.
        rounds: of the task.
        cohort: devices of a round; 0: devices come and go by themselves.
        seed: of everything that is drawn.
    """

    folder: Path
    devices: int
    workers: int
    rounds: int
    cohort: int
    seed: int

    def __str__(self):
        return (
            f"{self.devices} devices in {self.workers} processes, {self.rounds} rounds of {self.cohort or 'who comes'}"
        )

    def members(self, number):
        """The devices of a round, drawn from the seed."""
        return np.random.default_rng((self.seed, number)).choice(self.devices, self.cohort, replace=False).tolist()

    def state(self, device):
        """A device's state folder."""
        return self.folder / "devices" / str(device)

    def make(self):
        """Makes the devices: key, interactions and attribute of each are drawn from the seed."""
        (self.folder / "sent").mkdir(parents=True)
        (self.folder / "journals").mkdir()
        for device in range(self.devices):
            rng = random.Random(f"{self.seed}/{device}")
            with closing(SqliteStore(self.state(device))) as store:
                for item in rng.sample(ITEMS, rng.randint(4, 12)):
                    store.record(item, 0)
                store.set_attribute("gender", rng.choice(["M", "F", None]))
            key = sha256(f"{self.seed}/{device}".encode())[:16]
            with closing(sqlite3.connect(self.state(device) / "state.db")) as database, database:
                database.execute("UPDATE client SET key = ?", (key,))

    def journal(self):
        """What the devices wrote down, of all processes."""
        lines = (path.read_text().splitlines() for path in (self.folder / "journals").iterdir())
        return [json.loads(line) for each in lines for line in each]

    def sent(self, digest):
        """The bytes of an upload, by their hash."""
        return (self.folder / "sent" / digest.hex()).read_bytes()

    def private(self, task_id):
        """By device, the round of its newest acknowledged contribution and the private state that belongs to it."""
        found = {}
        for device in range(self.devices):
            with closing(SqliteStore(self.state(device))) as store:
                state = store.private(task_id)
                found[device] = (store.contributed(task_id), None if state is None else state.pack())
        return found


def twin(source, target):
    """Copies a file, except that the locks of a device's folders are one file: the copy would draw another key."""
    path = Path(source)
    (os.link if path.name == "lock" and path.parent.parent.name == "devices" else shutil.copy2)(source, target)


class Recorder:
    """A device's `AsyncTransport` that writes down, outside the store, what is sent and what is acknowledged."""

    def __init__(self, transport, fleet, device, journal, gives_up=lambda: False):
        self._transport, self._fleet, self._device, self._journal = transport, fleet, device, journal
        self._gives_up = gives_up
        self.call = transport.call

    async def receive(self, request, timeout):
        if self._gives_up():
            raise Interrupted
        async for response in self._transport.receive(request, timeout):
            yield response

    async def send(self, kind, requests, timeout):
        requests = list(requests)
        header, data = requests[0].header, b"".join(request.data for request in requests[1:])
        copy = self._fleet.folder / "sent" / header.sha256.hex()
        if not copy.exists():
            part = copy.with_suffix(f".{self._device}")
            part.write_bytes(data)
            part.rename(copy)
        self._write("sent", header)
        response = await self._transport.send(kind, iter(requests), timeout)
        self._write("acknowledged", header)
        return response

    def _write(self, event, header):
        line = {"event": event, "at": time.time(), "device": self._device}
        line |= {"assignment": header.assignment_id.hex(), "sha256": header.sha256.hex()}
        os.write(self._journal, json.dumps(line).encode() + b"\n")


def balanced(address):
    """An address with several hosts, with these in an order drawn anew: the first that answers is called."""
    if not address.startswith("ipv4:"):
        return address
    hosts = address.removeprefix("ipv4:").split(",")
    return f"ipv4:{','.join(random.sample(hosts, len(hosts)))}"


class Worker:
    """One process's share of the devices. All that it knows when it starts again is in their state folders."""

    def __init__(self, fleet, number, life, addresses, task_id):
        self._fleet, self._number, self._life, self._task_id = fleet, number, life, task_id
        self._devices_address, self._admin_address = addresses
        self._engine = TorchEngine()
        self._stores = {}
        path = fleet.folder / "journals" / f"{number}.jsonl"
        self._journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def run(self):
        if not self._fleet.cohort:
            await asyncio.gather(*map(self._roam, self._mine(range(self._fleet.devices))))
            return
        for number in range(self._fleet.rounds):
            members = self._mine(self._fleet.members(number))
            if any(not self._has_contributed(device, number) for device in members):
                await self._open_round(number)
                await asyncio.gather(*(self._contribute(device, number) for device in members))

    def _mine(self, devices):
        return [device for device in devices if device % self._fleet.workers == self._number]

    def _store(self, device):
        if device not in self._stores:
            self._stores[device] = SqliteStore(self._fleet.state(device))
        return self._stores[device]

    def _has_contributed(self, device, number):
        newest = self._store(device).contributed(self._task_id)
        return newest is not None and newest >= number

    async def _open_round(self, number):
        """Returns when a round is open: only its cohort's sessions start, so nobody may come too early."""
        while await self._round() < number:
            await asyncio.sleep(_PAUSE)

    async def _round(self):
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(balanced(self._admin_address), options) as channel:
            stub = admin_pb2_grpc.AdminServiceStub(channel)
            with suppress(grpc.aio.AioRpcError):
                return (await stub.GetTask(admin_pb2.GetTaskRequest(task_id=self._task_id), timeout=10)).round
        return -1

    async def _contribute(self, device, number):
        while not self._has_contributed(device, number):
            outcome = await self._session(device)
            if outcome is None or outcome.result is Result.REJECTED:
                await asyncio.sleep(_PAUSE)

    async def _session(self, device, gives_up=lambda: False) -> Outcome | None:
        """How one session ended; None: the coordinator did not answer."""
        # A transport for each session, as `FedClient.sync` makes one: no session waits for another's broken connection.
        async with AioGrpcTransport(balanced(self._devices_address)) as transport:
            recorder = Recorder(transport, self._fleet, device, self._journal, gives_up)
            with suppress(TransportError):
                return await drive_async(session(self._store(device), self._engine, POPULATION, "0.1.0"), recorder)

    async def _roam(self, device):
        """Comes and goes until the task is over: may give its place back, or vanish in the midst of anything."""
        rng = random.Random(f"{self._fleet.seed}/{device}/{self._life}")
        outcome = None
        while outcome is None or outcome.reason != "REJECTION_REASON_NO_TASK":
            await asyncio.sleep(rng.uniform(0, 10 * _PAUSE))
            patience = rng.uniform(0, 0.2) if rng.random() < 0.2 else 60
            with suppress(TimeoutError, Interrupted):
                async with asyncio.timeout(patience):
                    outcome = await self._session(device, lambda: rng.random() < 0.05)


def work(fleet, number, life, addresses, task_id, kind=Worker):
    """A worker process, of this kind of worker."""
    torch.set_num_threads(1)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # five for each open state folder
    asyncio.run(kind(fleet, number, life, addresses, task_id).run())
