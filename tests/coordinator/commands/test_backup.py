"""Backups, made while a coordinator serves."""

import asyncio
import shutil
from collections import defaultdict
from pathlib import Path

import pytest

from coordinator.cli import main
from coordinator.store import backups
from fedau2.v1 import admin_pb2
from fedau2.wire.status import StatusError
from tests.coordinator import conftest as tools
from tests.coordinator.commands.backed_up import backup, contents, made, restore, state
from tests.durability.audit import books

__all__ = ["made", "state"]


@pytest.fixture
def process(tmp_path):
    process = tools.Process(tmp_path / "state")
    yield process
    process.end(process.child.terminate)


class Traffic:
    """Devices that contribute to a coordinator without pause.

    Attributes:
        acknowledged: seeds of the contributions that were acknowledged, by assignment.
        numbers: of the rounds that devices were given.
    """

    def __init__(self, process):
        self.process, self.acknowledged, self.numbers = process, {}, set()
        self._seeds, self._over = iter(range(10**9)), False

    async def during(self, work):
        """Runs a function in another thread while devices contribute."""
        async with tools.connect(self.process.devices, self.process.admin) as lab:
            await lab.create(tools.make_bundle(rounds=10**6))
            devices = [asyncio.ensure_future(self._device(lab)) for _ in range(4)]
            try:
                await asyncio.to_thread(work)
            finally:
                self._over = True
                await asyncio.gather(*devices)

    async def _device(self, lab):
        while not self._over:
            response = await lab.check_in()
            if response.WhichOneof("result") == "assignment":
                await self._upload(lab, response.assignment)

    async def _upload(self, lab, assignment):
        seed = next(self._seeds)
        self.numbers.add(assignment.round)
        try:
            await lab.upload(assignment, tools.make_contribution(seed))
        except StatusError:
            return  # the round had its contributions before
        self.acknowledged[assignment.assignment_id] = seed


def test_a_backup_under_load_lacks_nothing_that_was_acknowledged_before(process, tmp_path):
    traffic, before = Traffic(process), []

    def work():
        while len(before) < 3 or len(traffic.acknowledged) < 3 * len(before[0]) + 30:
            before.append(dict(traffic.acknowledged))
            assert backup(tmp_path / "state", tmp_path / f"backup-{len(before)}") == 0

    asyncio.run(traffic.during(work))
    assert len(before[-1]) > len(before[0]), "nothing was uploaded meanwhile"
    for number, known in enumerate(before, 1):
        with books(tmp_path / f"backup-{number}") as ledger:
            assert known.keys() <= {report.assignment_id for report in ledger.reports()}
    newest = tmp_path / f"backup-{len(before)}"
    assert restore(newest, tmp_path / "restored") == 0
    assert main(["doctor", "--state", str(tmp_path / "restored")]) == 0
    expect_going_on(tmp_path / "restored", traffic)


def expect_going_on(state, traffic):
    """The restored model is that of all acknowledged contributions to committed rounds, and the next is of these."""
    with books(state) as ledger:
        rounds, committed = defaultdict(list), ledger.newest()[2]
        for report in ledger.reports():
            rounds[report.round].append(traffic.acknowledged[report.assignment_id])
    assert sorted(rounds) == list(range(committed)), "the contributions of the open round count twice"

    async def go_on():
        async with tools.open_lab(state) as lab:
            task = await lab.only_task()
            seen = await lab.assignment()
            await lab.fail(seen)
            await lab.contribute([7, 8, 9])
            return task, seen.round, (await lab.committed(task.task_id, committed + 1)).checkpoint.sha256

    task, number, checkpoint = asyncio.run(go_on())
    seeds = [rounds[number] for number in range(committed)]
    assert task.checkpoint.sha256 == tools.expected_checkpoint(seeds)
    assert number > max(traffic.numbers)
    assert checkpoint == tools.expected_checkpoint([*seeds, [7, 8, 9]])


def test_a_ledger_that_was_overtaken_by_the_end_of_a_round_is_copied_again(process, tmp_path, monkeypatch):
    original, looks = backups._named, []

    async def contribute(*cohorts):
        async with tools.connect(process.devices, process.admin) as lab:
            tasks = (await lab.link.list_tasks(admin_pb2.ListTasksRequest())).tasks
            task_id = tasks[0].task_id if tasks else await lab.create(tools.make_bundle(rounds=9))
            for seeds in cohorts:
                task = await lab.task(task_id)
                await lab.contribute(seeds)
                if task.reported + len(seeds) == 3:
                    await lab.committed(task_id, task.round + 1)

    def named(folder, ledger):
        names = original(folder, ledger)
        looks.append(names)
        if len(looks) == 1:
            asyncio.run(contribute([3, 4]))
        return names

    asyncio.run(contribute([0, 1, 2], [5]))
    monkeypatch.setattr(backups, "_named", named)
    assert backup(tmp_path / "state", tmp_path / "backup") == 0
    assert len(looks) == 2
    assert any(name.startswith("log/") for name in looks[0])
    with books(tmp_path / "backup") as ledger:
        assert ledger.newest()[2] == 2
    assert restore(tmp_path / "backup", tmp_path / "restored") == 0


def test_a_backup_leaves_the_folder_as_it_is(state, made):
    before = contents(state)
    assert backup(state, state.parent / "second") == 0
    after = contents(state)
    shutil.rmtree(state.parent / "second")
    for files in (before, after):
        files.pop(Path("ledger.sqlite-shm"), None)
    assert after == before


def test_a_ledger_in_postgresql_is_said_to_be_dumped_and_in_which_order(tmp_path, capsys):
    (tmp_path / "state").mkdir()
    assert backup(tmp_path / "state", tmp_path / "backup") == 1
    error = capsys.readouterr().err
    steps = ("stop the coordinator", "pg_dump", "copy the whole folder", "start the coordinator", "pg_restore")
    assert sorted(steps, key=error.index) == list(steps)
    assert "--accept-ledger" in error


@pytest.mark.parametrize(
    "part", ["ledger.sqlite-wal", "blobs/*", "log/*", "operations.log", "witness", "ledger.sqlite"]
)
def test_a_damaged_folder_is_not_backed_up(state, made, tmp_path, part):
    if part == "ledger.sqlite":  # a killed coordinator leaves its pages in the write-ahead log
        assert restore(made, tmp_path / "damaged") == 0
    else:
        shutil.copytree(state, tmp_path / "damaged")
    for path in (tmp_path / "damaged").glob(part):
        data = bytearray(path.read_bytes())
        for at in range(0, len(data), 40):
            data[at] ^= 1
        path.write_bytes(data)
    assert backup(tmp_path / "damaged", tmp_path / "backup") == 1
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"damage")])
def test_a_blob_that_no_round_needs_is_left_out_and_named(state, tmp_path, capsys, damage):
    shutil.copytree(state, tmp_path / "state")
    with books(state) as ledger:
        ((digest,),) = ledger.rows("SELECT checkpoint FROM kept_model")
    damage(tmp_path / "state" / "blobs" / digest.hex())
    assert backup(tmp_path / "state", tmp_path / "backup") == 0
    assert f"blobs/{digest.hex()}" in capsys.readouterr().err
    assert restore(tmp_path / "backup", tmp_path / "restored") == 0
    assert not (tmp_path / "restored" / "blobs" / digest.hex()).exists()


def test_the_doctor_does_not_take_a_backup_for_a_state_folder(made, capsys):
    before = contents(made)
    for arguments in ([], ["--accept-ledger"], ["--drop-damaged"]):
        assert main(["doctor", "--state", str(made), *arguments]) == 1
        assert "is a backup: `fedau2-coordinator restore`" in capsys.readouterr().err
    assert contents(made) == before
