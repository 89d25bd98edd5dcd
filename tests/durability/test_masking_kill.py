"""Coordinator, unmasker and devices are killed: rounds with secure sums end in the bytes of an undisturbed run."""

import multiprocessing
import random
import shutil
import signal
import time
from collections import Counter

import pytest

from client_sdk.kernel import fedncf
from client_sdk.store.sqlite_store import SqliteStore
from export import bundle as bundles
from fedau2.v1.secure_pb2 import Grid, SecureSums
from fedau2.wire.identity.signing import read_public
from fedau2.wire.manifest import shared
from fedau2.wire.secure.policy import FEATURE
from tests import plans
from tests.durability import masking_devices
from tests.durability.audit import books
from tests.durability.devices import ITEMS, POPULATION, Fleet, twin
from tests.durability.masking_devices import Task
from tests.durability.server import Coordinator, Unmasker
from unmasker import Books, StateFolder

MINIMUM = 64
_PATIENCE = 1800
"""Seconds after which a run that has not ended is given up."""


def bundle(key, rounds):
    """A task whose cap of participations is met by one contribution to each round, and by no more."""
    plan = plans.make("fedncf", plans.GENDER, server__clip_norm=0)
    made = bundles.build("fedncf", ITEMS, plan, 0, fedncf.Widths(gmf=2, mlp=2, hidden=(3,)), training=False)
    return with_sums(made, key, max_participations=rounds)


def with_sums(made, key, **fields):
    """A bundle with secure sums that the unmasker of a key file opens."""
    grids = [Grid(tensor=name, exponent=12, clip=1000) for name in sorted(shared(made.manifest))]
    numbers = {"version": 1, "modulus_bits": 24, "value_bits": 14, "minimum": MINIMUM, "row_threshold": 10}
    made.manifest.required_features.append(FEATURE)
    unmaskers = [read_public(key.read_bytes())]
    made.manifest.secure_sums.CopyFrom(SecureSums(grids=grids, unmaskers=unmaskers, **numbers | fields))
    return made


class Run:
    """Coordinator, unmasker and device processes on one folder, each of which may be killed and started again."""

    def __init__(self, fleet, task_id="", kills=0):
        self.fleet, self.kills = fleet, Counter()
        self.unmasker = Unmasker(fleet.folder / "unmasker")
        self.key = fleet.folder / "unmasker" / "identity.pub"
        options = ("--unmasker", self.unmasker.address, "--unmasker-key", self.key)
        self.coordinator = Coordinator(fleet.folder, *options)
        addresses = (self.coordinator.addresses[0], self.unmasker.devices)
        self._task = Task(fleet, task_id, *addresses, self.key.read_bytes(), kills)
        self._context = multiprocessing.get_context("forkserver")  # a process starts without importing PyTorch again
        self._context.set_forkserver_preload([masking_devices.__name__])
        self._killed, self._workers = self._context.Value("i", 0), {}

    def create(self, made):
        """Makes the task, before any device comes, and returns its id."""
        bundles.write(made, self.fleet.folder / "bundle")
        self._serve()
        options = ("--rounds", self.fleet.rounds, "--goal", MINIMUM, "--minimum", MINIMUM)
        leases = ("--over-selection", 20, "--lease", _PATIENCE, "--deadline", _PATIENCE)
        try:
            return self.coordinator.create_task(self.fleet.folder / "bundle", POPULATION, *options, *leases)
        finally:
            self._end()

    def run(self, pace=0.0, seed=0):
        """Runs to the end, and returns the seconds that it took.

        Args:
            pace: mean seconds between two kills.
            seed: of their moments and victims.
        """
        began, rng = time.monotonic(), random.Random(f"masking/{seed}")
        try:
            self._serve()
            for number in range(self.fleet.workers):
                self._spawn(number)
            for _ in range(self._task.kills):
                time.sleep(rng.uniform(0, 2 * pace))
                self._kill(rng)
                with self._killed.get_lock():
                    self._killed.value += 1
            self._join(began + _PATIENCE)
        finally:
            for worker in self._workers.values():
                worker.kill()
                worker.join()
            self._end()
        return time.monotonic() - began

    def _serve(self):
        self.unmasker.start()
        self.coordinator.start()
        self.coordinator.await_serving()

    def _end(self):
        self.coordinator.abandon()
        self.unmasker.end(signal.SIGKILL)

    def _spawn(self, number):
        worker = self._context.Process(target=masking_devices.work, args=(self._task, number, self._killed))
        worker.start()
        self._workers[number] = worker

    def _kill(self, rng):
        victim = rng.choice(["coordinator", "unmasker", "devices", "devices"])
        if victim == "devices":
            number, worker = rng.choice(list(self._workers.items()))
            worker.kill()
            worker.join()
            self._spawn(number)
        else:
            server = getattr(self, victim)
            server.end(signal.SIGKILL)
            server.start()
            if victim == "coordinator" and rng.random() < 0.8:  # else it may be killed while it starts
                server.await_serving()
        self.kills[victim] += 1

    def _join(self, end):
        for worker in self._workers.values():
            worker.join(max(0, end - time.monotonic()))
            assert worker.exitcode == 0, f"a device process ended with {worker.exitcode}"
        while self.checkpoints() is None:
            assert time.monotonic() < end
            time.sleep(0.1)

    def checkpoints(self):
        """The hash of each round's checkpoint; None: some are to come."""
        with books(self.coordinator.state) as ledger:
            hashes = ledger.checkpoints()
        return hashes if len(hashes) == self.fleet.rounds else None


def check(folder, kills, rounds, seed, workers=4):
    calm, wild = (
        Fleet(folder / name, devices=MINIMUM, workers=workers, rounds=rounds, cohort=MINIMUM, seed=seed)
        for name in ("calm", "wild")
    )
    calm.make()
    Books.make(StateFolder(calm.folder / "unmasker"), None, time.time).close()
    first = Run(calm)
    task_id = first.create(bundle(first.key, rounds))
    shutil.copytree(calm.folder, wild.folder, copy_function=twin)
    undisturbed = Run(calm, task_id)
    seconds = undisturbed.run()
    killed = Run(wild, task_id, kills)
    lasted = killed.run(seconds / kills, seed)
    assert killed.checkpoints() == undisturbed.checkpoints()
    assert wild.private(task_id) == calm.private(task_id)
    check_counts(wild, killed.coordinator, task_id)
    return killed.kills, seconds, lasted


def check_counts(fleet, coordinator, task_id):
    """Each device is in each sum once, and says so."""
    with books(coordinator.state) as ledger:
        ledger.check_histories()
        assert Counter(report.round for report in ledger.reports()) == dict.fromkeys(range(fleet.rounds), MINIMUM)
    assert not list((coordinator.state / "log").iterdir())
    for device in range(fleet.devices):
        store = SqliteStore(fleet.state(device))
        assert store.identities.participations(task_id) == fleet.rounds
        store.close()


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "rounds"), [(8, 2), (60, 4)])
def test_kills_of_coordinator_unmasker_and_devices_change_no_byte(tmp_path, capsys, kills, rounds):
    counts, seconds, lasted = check(tmp_path, kills, rounds, seed=kills)
    with capsys.disabled():
        print(f"\n{dict(counts)} killed in {rounds} rounds; {lasted:.0f} s, undisturbed {seconds:.0f} s")
