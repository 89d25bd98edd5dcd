"""An app killed at random moments of recording, syncing and training: its devices' stores are always whole."""

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing

import pytest

from client_sdk.kernel import fedncf
from client_sdk.store.sqlite_store import SqliteStore
from export import bundle as bundles
from fedau2.wire.blobs import sha256
from tests import plans
from tests.durability.audit import books
from tests.durability.device_life import DEVICES, ITEMS
from tests.durability.server import Coordinator


@pytest.fixture
def coordinator(tmp_path):
    """Rounds of two contributions, for two devices: a device that counts twice would close a round alone."""
    plan = plans.make("fedncf", plans.GENDER)
    widths = fedncf.Widths(gmf=4, mlp=8, hidden=(8, 4))
    bundles.write(bundles.build("fedncf", ITEMS, plan, 0, widths), tmp_path / "bundle")
    running = Coordinator(tmp_path)
    running.start()
    running.await_serving()
    options = ("--rounds", 10_000, "--goal", 2, "--minimum", 2, "--over-selection", 9, "--lease", 1, "--deadline", 3)
    running.create_task(tmp_path / "bundle", "movies", *options)
    yield running
    running.abandon()


def lives(folder, address, count):
    """Kills lives, each at a moment that a seed draws, and yields after each.

    Those after the first `count` are longer and longer, for a machine that is too busy for a round in short ones.
    """
    rng = random.Random(count)
    command = [sys.executable, "-m", "tests.durability.device_life", str(folder), address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for number in range(10 * count):
            # Half die early, while the stores are opened and the first sync is on its way.
            seconds = rng.uniform(0, 0.15) if number % 2 else rng.uniform(0.1, 0.8)
            process.stdin.write(f"{number} {seconds * (1 + number // count)}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{-signal.SIGKILL}\n", "it died by itself"
            yield


def journal(folder):
    path = folder / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def check_stores(folder, task_id):
    """Nothing recorded is lost; what is staged and what is promoted is a contribution with its own private state."""
    lines, moments = journal(folder), Counter()
    for device in DEVICES:
        own = [line for line in lines if line["device"] == device]
        states = {line["contribution"]: line["state"] for line in own if line["event"] == "staging"}
        recorded = Counter(item for line in own if line["event"] == "recorded" for item in line["items"])
        promoting = [line["contribution"] for line in own if line["event"] == "promoting"]
        with closing(SqliteStore(folder / device)) as store:
            kept = Counter(item for (item,) in store.database.all("SELECT item FROM interactions"))
            staged, private = store.staged(), store.private(task_id)
        assert recorded <= kept, "what was recorded is lost"
        if staged is not None:
            contribution = sha256(staged.contribution).hex()
            assert states[contribution] == sha256(staged.state.pack()).hex(), "not the state of this contribution"
            moments["a contribution unanswered"] += 1
        if private is not None:
            state = sha256(private.pack()).hex()
            assert state in (states[each] for each in promoting[-2:]), "neither the old private state nor the new"
        moments["recorded, not yet written down"] += recorded != kept
    return moments


def check_rounds(coordinator, folder):
    """Each acknowledged contribution counts, and no round counts a device twice."""
    lines = journal(folder)
    senders = {line["contribution"]: line["device"] for line in lines if line["event"] == "staging"}
    with books(coordinator.state) as ledger:
        reports = [(report.round, report.sha256.hex()) for report in ledger.reports()]
        rounds = len(ledger.checkpoints())
    assert {line["contribution"] for line in lines if line["event"] == "promoting"} <= {digest for _, digest in reports}
    counted = Counter((number, senders[digest]) for number, digest in reports)
    assert max(counted.values()) == 1, "a round counts a device twice"
    return rounds


def die(coordinator, folder, count):
    with books(coordinator.state) as ledger:
        task_id = ledger.newest()[0]
    moments, rounds = Counter(), 0
    with closing(lives(folder, coordinator.addresses[0], count)) as killed:
        for number, _ in enumerate(killed, start=1):
            moments += check_stores(folder, task_id)
            if number >= count and (rounds := check_rounds(coordinator, folder)):
                break
    return moments, rounds


def test_an_app_killed_at_any_moment_has_whole_stores(coordinator, tmp_path):
    _, rounds = die(coordinator, tmp_path, 10)
    assert rounds > 0


@pytest.mark.slow
def test_an_app_killed_a_hundred_times_has_whole_stores(coordinator, tmp_path, capsys):
    moments, rounds = die(coordinator, tmp_path, 100)
    assert rounds > 0
    assert moments["a contribution unanswered"] > 0
    with capsys.disabled():
        print(f"\n100 kills, {rounds} rounds committed; found by them: {dict(moments)}")
