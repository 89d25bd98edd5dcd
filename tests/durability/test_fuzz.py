"""Whatever is sent to it, the coordinator answers, stays up, keeps its state, and serves those who behave."""

import asyncio
import itertools
import signal
from pathlib import Path

import numpy as np
import pytest

from fedau2.v1 import admin_pb2, device_pb2
from fedau2.v1.device_pb2 import UploadContributionRequest, UploadHeader, UploadPartRequest
from fedau2.wire import blobs, contributions
from fedau2.wire.contributions import Rows
from tests.coordinator import conftest as tools
from tests.durability import mutations
from tests.durability.audit import books
from tests.durability.fuzz import Fuzzer
from tests.durability.mutations import Words
from tests.durability.server import Coordinator

POPULATION = "movies"


@pytest.fixture
def coordinator(tmp_path):
    coordinator = Coordinator(tmp_path)
    coordinator.start()
    coordinator.await_serving()
    yield coordinator
    coordinator.abandon()


async def fill(coordinator, bundle, task_id):
    """Takes both places of the round, and reports one: no check-in can change anything any more."""
    async with tools.connect(*coordinator.addresses) as lab:
        reported, live = await lab.assignment(), await lab.assignment()
        await lab.upload(reported, tools.make_contribution(0))
        return await words(bundle, task_id, reported.assignment_id, live.assignment_id)


async def words(bundle, task_id, reported, live):
    """What exists. The requests get as far as they can without changing anything, however they are damaged."""
    known = [*bundle.blobs, blobs.sha256(tools.make_contribution(0))]
    return Words(
        streams={
            "CheckIn": [[device_pb2.CheckInRequest(population=name)] for name in (POPULATION, "nobody")],
            "FetchResource": [[device_pb2.FetchResourceRequest(sha256=digest, offset=2)] for digest in known],
            "UploadContribution": [await upload(key, data) for key in (reported, live) for data in not_finite()],
            "UploadPart": [[part] for key in (reported, live) for data in not_finite() for part in parts(key, data)],
            "UploadOffset": [
                [device_pb2.UploadOffsetRequest(assignment_id=key, sha256=known[-1])] for key in (reported, live)
            ],
            "ReportFailure": [[device_pb2.ReportFailureRequest(assignment_id=reported)]],
            "CreateTask": [[request async for request in incomplete().requests()]],
            "GetTask": [[admin_pb2.GetTaskRequest(task_id=task_id)]],
        },
        texts=(POPULATION, "nobody"),
        bytes=(reported, *known),
        secret=(task_id,),
    )


async def upload(assignment_id, data):
    requests = [request async for request in tools.upload_requests(assignment_id, data)]
    middle = len(data) // 2
    cut = [UploadContributionRequest(data=part) for part in (data[:middle], data[middle:])]
    return [requests[0], *cut]


def parts(assignment_id, data):
    """The two halves of a contribution, and the whole, as requests of UploadPart."""
    middle, header = len(data) // 2, {"assignment_id": assignment_id, "size": len(data), "sha256": blobs.sha256(data)}
    cuts = ((0, data[:middle]), (middle, data[middle:]), (0, data))
    return [UploadPartRequest(header=UploadHeader(offset=offset, **header), data=piece) for offset, piece in cuts]


def not_finite():
    """Contributions that no damage can make valid: not one value of them is finite."""
    rows = {"items": Rows(np.arange(3), np.full((3, 4), np.nan, np.float32))}
    dense = {"tower": np.full((3, 2), np.inf, np.float32), tools.ADVERSARY: np.full((2, 5), np.nan, np.float32)}
    return [contributions.encode(rows), contributions.encode(dense), contributions.encode(rows | dense)]


def incomplete():
    """A bundle that no damage can make valid: its checkpoint is not finite, and the manifest holds the hash of it."""
    bundle = tools.make_bundle(population="others")
    first = bundle.manifest.checkpoint
    tensors = blobs.unpack(bundle.blobs.pop(first.sha256))
    spoiled = blobs.pack({name: np.full_like(tensor, np.nan) for name, tensor in tensors.items()})
    first.CopyFrom(blobs.resource(spoiled))
    bundle.blobs[first.sha256] = spoiled
    return bundle


def kept(coordinator):
    """Everything that lasts: the ledger, and every file beside it but the log of calls, in which all of these stand.

    An operator's fetch makes a transaction without content, so the number of transactions is left out, as the witness.
    """
    names = ("ledger", "operations", "witness")
    files = [
        path for path in coordinator.state.rglob("*") if path.is_file() and not any(name in path.name for name in names)
    ]
    with books(coordinator.state) as ledger:
        lines = [line for line in ledger.dump().splitlines() if not line.startswith('INSERT INTO "commits"')]
        return lines, {path: path.read_bytes() for path in files}


def memory(coordinator):
    """Resident memory of the coordinator, in MB."""
    status = Path(f"/proc/{coordinator.child.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1000


async def attack(coordinator, bundle, task_id, count):
    """Makes the hostile calls. Returns the table of what was answered, and the memory that they took for good."""
    fuzzer = Fuzzer(coordinator.addresses, (POPULATION, bundle.manifest.checkpoint.sha256))
    words = await fill(coordinator, bundle, task_id)
    before, calls = kept(coordinator), mutations.cases(0, count, words)
    await fuzzer.run(itertools.islice(calls, count // 5))
    warm = memory(coordinator)
    await fuzzer.run(calls)
    assert kept(coordinator) == before
    return fuzzer.table, memory(coordinator) - warm


def check_fuzz(coordinator, folder, count, capsys):
    bundle = tools.make_bundle()
    bundle.write(folder / "bundle")
    options = ("--rounds", 3, "--goal", 2, "--over-selection", 0, "--lease", 86400, "--deadline", 86400)
    task_id = coordinator.create_task(folder / "bundle", POPULATION, *options)
    table, grown = asyncio.run(attack(coordinator, bundle, task_id, count))
    with capsys.disabled():
        print(
            f"\n{table}\n{count} calls; {grown:+.1f} MB of memory after the first fifth; a well-behaved client was",
            end=" ",
        )
        print(f"answered {table.served} times, after {table.slowest:.2f} s at most")
    assert table.bad() == {}
    assert table.served > 0
    assert grown < 10
    assert {method.name for method in mutations.methods()} <= {name for name, _ in table.statuses}
    coordinator.end(signal.SIGTERM)


def test_hostile_calls_change_nothing(coordinator, tmp_path, capsys):
    check_fuzz(coordinator, tmp_path, 3000, capsys)


@pytest.mark.slow
def test_a_hundred_thousand_hostile_calls_change_nothing(coordinator, tmp_path, capsys):
    check_fuzz(coordinator, tmp_path, 100_000, capsys)
