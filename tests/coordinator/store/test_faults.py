"""A disk that fails, a power cut, a kill, at every step that a task's life takes to the disk."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from coordinator.errors import CoordinatorError
from coordinator.store import database
from coordinator.store.ledger import Ledger
from tests.coordinator.faults import ROUNDS, CountingDisk, Fault, FaultyDisk, Kind, Life, files

ROOT = Path(__file__).parents[3]

STEPS = [
    *("make_folder state", "make_folder blobs", "make_folder server-state", "make_folder log"),
    *(f"{operation} state" for operation in ("create", "write", "sync", "rename", "delete", "sync_folder", "rewrite")),
    *(f"{operation} blobs" for operation in ("create", "write", "sync", "rename", "delete", "sync_folder")),
    *(f"{operation} server-state" for operation in ("create", "write", "sync", "rename", "delete", "sync_folder")),
    *(f"{operation} log" for operation in ("create", "write", "sync", "delete", "sync_folder")),
    "commit",
]
ERRORS = [Kind.FULL, Kind.LATE, Kind.POWER]
KILLS = [Kind.KILL_BEFORE, Kind.KILL_AFTER]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The steps of a life that nothing disturbs, its last checkpoint, and what is left on disk."""
    folder, disk = tmp_path_factory.mktemp("undisturbed"), CountingDisk()
    checkpoint = asyncio.run(Life(folder / "state", folder / "journal").run(disk))
    return disk.passed, checkpoint, files(folder / "state")


def test_the_steps_of_a_life_are_all_known_by_name(undisturbed, tools):
    passed, checkpoint, left = undisturbed
    assert set(passed) == set(STEPS)
    assert checkpoint == tools.expected_checkpoint(ROUNDS)
    assert not [name for name in left if name.startswith("log/") or name.endswith(".tmp")]


def kinds(step, always):
    return [*always, Kind.TORN] if step.startswith("write") else always


def check_end(life, folder, undisturbed):
    """With a healthy disk the life goes on to the same end, and leaves the same."""
    _, checkpoint, left = undisturbed
    assert asyncio.run(life.run()) == checkpoint
    assert files(folder / "state") == left


def fail(folder, fault, undisturbed, **options):
    folder.mkdir()
    disk = FaultyDisk(fault)
    life = Life(folder / "state", folder / "journal", **options)
    with pytest.raises((CoordinatorError, OSError), match="injected"):
        asyncio.run(life.run(disk))
    if fault.kind is Kind.POWER:
        disk.lose_power()
    check_end(life, folder, undisturbed)


@pytest.mark.parametrize("step", STEPS)
def test_after_an_error_at_a_step_it_goes_on_to_the_same_end(step, undisturbed, tmp_path):
    last = undisturbed[0][step] - 1
    for kind in kinds(step, ERRORS):
        fail(tmp_path / kind.name, Fault(step, last, kind), undisturbed)


@pytest.mark.parametrize("step", [step for step in STEPS if step.endswith(" state") or step == "commit"])
def test_after_an_error_while_the_write_ahead_log_is_emptied_it_goes_on(step, undisturbed, tmp_path, monkeypatch):
    """The log is emptied after every commit, and the error comes in the middle of the life."""
    monkeypatch.setattr(database, "_FULL", 0)
    (tmp_path / "counted").mkdir()
    counted = CountingDisk()
    asyncio.run(Life(tmp_path / "counted" / "state", tmp_path / "counted" / "journal").run(counted))
    for kind in kinds(step, ERRORS):
        fail(tmp_path / kind.name, Fault(step, counted.passed[step] // 2, kind), undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_after_an_error_at_every_single_step_it_goes_on_to_the_same_end(step, undisturbed, tmp_path):
    for number in range(undisturbed[0][step]):
        for kind in kinds(step, ERRORS):
            fail(tmp_path / f"{kind.name}-{number}", Fault(step, number, kind), undisturbed)


@pytest.fixture(scope="module")
def killer():
    """Ends a coordinator at a step, in a child process of its own."""
    command = [sys.executable, "-m", "tests.coordinator.fault_driver"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:

        def kill(folder, fault):
            request = {**asdict(fault), "kind": fault.kind.name, "folder": str(folder)}
            driver.stdin.write(json.dumps(request) + "\n")
            driver.stdin.flush()
            assert int(driver.stdout.readline()) == signal.SIGKILL

        yield kill


def end(killer, folder, fault, undisturbed):
    folder.mkdir()
    killer(folder, fault)
    check_end(Life(folder / "state", folder / "journal"), folder, undisturbed)


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_it_goes_on_to_the_same_end(step, undisturbed, killer, tmp_path):
    end(killer, tmp_path / "killed", Fault(step, undisturbed[0][step] - 1, Kind.KILL_BEFORE), undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_every_single_step_it_goes_on_to_the_same_end(step, undisturbed, killer, tmp_path):
    for number in range(undisturbed[0][step]):
        for kind in KILLS:
            end(killer, tmp_path / f"{kind.name}-{number}", Fault(step, number, kind), undisturbed)


@pytest.mark.parametrize("part", ["blobs", "server-state", "log"])
@pytest.mark.parametrize("kind", [Kind.FULL, Kind.LATE])
def test_a_recovery_that_fails_can_be_repeated(part, kind, undisturbed, tmp_path):
    life = Life(tmp_path / "state", tmp_path / "journal")
    asyncio.run(life.run())
    with closing(Ledger(f"sqlite:///{tmp_path / 'state' / 'ledger.sqlite'}")) as ledger:
        (task,) = ledger.tasks()
    segment = f"log/{task.task_id}-0.0"
    for left_over in (f"blobs/{'0' * 64}", f"blobs/{'1' * 64}.tmp", f"server-state/{'2' * 64}", segment):
        (tmp_path / "state" / left_over).write_bytes(b"of a crash")
    with pytest.raises(OSError, match="injected"):
        asyncio.run(life.run(FaultyDisk(Fault(f"delete {part}", 0, kind))))
    check_end(life, tmp_path, undisturbed)
