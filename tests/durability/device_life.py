"""An app with two devices, each a `FedClient`, that records and syncs until it is killed.

Run as a process it forks one such app after another, so that PyTorch is imported once: for each line `number seconds`
on its input it starts life `number`, kills it after so many seconds from its start, and answers with a line.
"""

import json
import os
import random
import signal
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import torch

from client_sdk import FedClient
from client_sdk.errors import NoDataError, TransportError
from client_sdk.kernel.torch_engine import TorchEngine
from fedau2.wire.blobs import sha256

ITEMS = [f"movie-{number}" for number in range(60)]
DEVICES = ("one", "two")


class Witness:
    """Writes down, outside the stores, what is about to be staged and promoted, and what has been recorded."""

    def __init__(self, path: Path, device: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._device = device

    def write(self, event, **values):
        os.write(self._file, json.dumps({"event": event, "device": self._device} | values).encode() + b"\n")

    def watch(self, client):
        stage, promote = client._store.stage, client._store.promote

        def staging(staged):
            contribution, state = sha256(staged.contribution).hex(), sha256(staged.state.pack()).hex()
            self.write("staging", round=staged.round, contribution=contribution, state=state)
            stage(staged)

        def promoting(assignment_id):
            self.write("promoting", contribution=sha256(client._store.staged().contribution).hex())
            promote(assignment_id)

        client._store.stage, client._store.promote = staging, promoting
        return client


def live(folder, address, number):
    """Until it is killed."""
    rng, engine = random.Random(number), TorchEngine()
    torch.set_num_threads(1)
    with ExitStack() as stack:
        clients = {}
        for device in DEVICES:
            witness = Witness(folder / "journal.jsonl", device)
            client = stack.enter_context(FedClient.open(folder / device, address, "movies", engine=engine))
            clients[device] = (witness.watch(client), witness)
        while True:
            client, witness = clients[rng.choice(DEVICES)]
            items = rng.sample(ITEMS, rng.randint(1, 3))
            client.record_many(items)
            witness.write("recorded", items=items)
            client.set_attribute("gender", rng.choice(["M", "F", None]))
            with suppress(NoDataError, TransportError):
                client.sync()


def main(folder, address):
    for line in sys.stdin:
        number, seconds = line.split()
        child = os.fork()
        if not child:
            live(folder, address, int(number))
        time.sleep(float(seconds))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
