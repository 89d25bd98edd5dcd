"""What the doctor says of a state folder, and what it does when it is told to."""

import asyncio
import os
import shutil
import signal
from contextlib import closing

import pytest

from coordinator.cli import main
from coordinator.errors import LogError
from coordinator.model.effects import Closed
from coordinator.store.ledger import Ledger
from coordinator.store.transitions import Entry
from fedau2.v1.admin_pb2 import ASSIGNMENT_STATE_EXPIRED, ROUND_STATE_COLLECTING
from fedau2.wire.status import StatusError
from tests.coordinator.store.test_state_folder import make_version_1


def doctor(state, *options):
    return main(["doctor", "--state", str(state), *options])


@pytest.fixture
def state(tmp_path, tools):
    """A folder with one task, one round of it committed, and two contributions to the next."""
    folder = tmp_path / "state"

    async def begin():
        async with tools.open_lab(folder) as lab:
            task_id = await lab.create()
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
            for seed in (3, 4):
                await lab.contribute([seed])

    asyncio.run(begin())
    return folder


def damage_first(state):
    """Tears the payload of the first of the open round's contributions."""
    (segment,) = (state / "log").iterdir()
    with segment.open("r+b") as file:
        file.seek(60)
        file.write(b"damage")


def contents(state):
    return {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}


def test_a_healthy_folder_is_described_and_left_as_it_is(state, capsys):
    (state / "blobs" / ("0" * 64)).write_bytes(b"of a commit that never was")
    before = contents(state)
    assert doctor(state) == 0
    lines = capsys.readouterr().out.splitlines()
    assert contents(state) == before
    assert lines[-1] == "healthy"
    text = "\n".join(lines)
    for words in (
        "schema version",
        "free disk space",
        "'movies', running, 1 of 3 rounds",
        "collecting, attempt 0, 2 con",
    ):
        assert words in text
    for blob in ("manifest", "catalogue", "checkpoint", "server state", "checkpoint after 0 rounds"):
        assert any(line.strip().startswith(blob) and ", whole, " in line for line in lines)
    assert "1 files, 26 bytes; harmless" in text


def test_a_folder_that_is_in_use_is_left_alone(tools, state, capsys):
    process = tools.Process(state)
    try:
        assert doctor(state) == 1
        assert "is used by another coordinator" in capsys.readouterr().err
    finally:
        process.end(process.child.terminate)
    assert doctor(state) == 0


def test_what_a_killed_coordinator_left_is_read_and_not_tidied_up(tools, tmp_path, capsys):
    process = tools.Process(tmp_path / "state")

    async def begin():
        async with tools.connect(process.devices, process.admin) as lab:
            await lab.create()
            await lab.contribute([0])

    asyncio.run(begin())
    process.end(lambda: os.kill(process.child.pid, signal.SIGKILL))
    before = contents(tmp_path / "state")
    assert tmp_path / "state" / "ledger.sqlite-wal" in before
    assert doctor(tmp_path / "state") == 0
    assert "1 contributions acknowledged" in capsys.readouterr().out
    assert contents(tmp_path / "state") == before


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_what_is_no_state_folder_is_said_so(name, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert doctor(tmp_path / name) == 1
    assert "error: " in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_damaged_contributions_are_given_up_and_the_round_goes_on(tools, state, capsys):
    damage_first(state)
    before = contents(state)
    assert doctor(state) == 1
    assert "1 contributions cannot be read back, the first: the record at byte 0" in capsys.readouterr().out
    assert contents(state) == before
    assert doctor(state, "--drop-damaged") == 0
    assert "1 contributions given up" in capsys.readouterr().out
    assert doctor(state) == 0
    assert "1 contributions acknowledged" in capsys.readouterr().out

    async def end():
        async with tools.open_lab(state) as lab:
            task_id = (await lab.only_task()).task_id
            await lab.contribute([5, 6])
            return (await lab.committed(task_id, 2)).checkpoint.sha256

    assert asyncio.run(end()) == tools.expected_checkpoint([[0, 1, 2], [4, 5, 6]])


def test_the_open_round_of_a_paused_task_is_examined_too(tools, state, capsys):
    async def pause():
        async with tools.open_lab(state) as lab:
            await lab.pause((await lab.only_task()).task_id)

    asyncio.run(pause())
    damage_first(state)
    assert doctor(state) == 1
    assert "1 contributions cannot be read back" in capsys.readouterr().out


def test_a_device_whose_contribution_was_given_up_is_not_told_that_it_counts(tools, tmp_path):
    async def begin():
        async with tools.open_lab(tmp_path) as lab:
            await lab.create()
            assignment = await lab.assignment()
            await lab.upload(assignment, tools.make_contribution(0))
            return assignment

    async def again(assignment):
        async with tools.open_lab(tmp_path) as lab:
            with pytest.raises(StatusError):
                await lab.upload(assignment, tools.make_contribution(0))

    assignment = asyncio.run(begin())
    damage_first(tmp_path)
    assert doctor(tmp_path, "--drop-damaged") == 0
    asyncio.run(again(assignment))
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as ledger:
        assert ledger.recall([assignment.assignment_id])[assignment.assignment_id].state == ASSIGNMENT_STATE_EXPIRED


def test_a_closed_round_that_lost_a_contribution_collects_again(tools, state, capsys):
    with closing(Ledger(f"sqlite:///{state / 'ledger.sqlite'}")) as ledger:
        (row,) = ledger.tasks()
        ledger.prepare(ledger.folder)
        ledger.write([Entry(row.task_id, 1, 2000.0, Closed(0))])
    damage_first(state)
    assert doctor(state, "--drop-damaged") == 0
    with closing(Ledger(f"sqlite:///{state / 'ledger.sqlite'}")) as ledger:
        newest = ledger.open_round(row.task_id, 1)
    assert (newest.attempt, newest.state) == (1, ROUND_STATE_COLLECTING)


def test_all_contributions_can_be_given_up_with_their_segment(tools, state, capsys):
    shutil.rmtree(state / "log")
    assert doctor(state) == 1
    assert "2 contributions cannot be read back" in capsys.readouterr().out
    assert doctor(state, "--drop-damaged") == 0

    async def end():
        async with tools.open_lab(state) as lab:
            task_id = (await lab.only_task()).task_id
            await lab.contribute([5, 6, 7])
            return (await lab.committed(task_id, 2)).checkpoint.sha256

    assert asyncio.run(end()) == tools.expected_checkpoint([[0, 1, 2], [5, 6, 7]])


def test_an_older_ledger_is_left_to_the_coordinator(state, capsys):
    make_version_1(state)
    before = contents(state)
    assert doctor(state) == 1
    assert "schema version 1" in capsys.readouterr().err
    assert contents(state) == before


def test_damaged_contributions_of_an_older_ledger_are_given_up_with_its_upgrade(tools, state, capsys):
    make_version_1(state)
    damage_first(state)

    async def begin():
        async with tools.open_lab(state) as lab:
            task_id = (await lab.only_task()).task_id
            await lab.contribute([5, 6])
            return (await lab.committed(task_id, 2)).checkpoint.sha256

    with pytest.raises(LogError, match="doctor --drop-damaged"):
        asyncio.run(begin())
    assert doctor(state, "--drop-damaged") == 0
    assert "1 contributions given up" in capsys.readouterr().out
    assert asyncio.run(begin()) == tools.expected_checkpoint([[0, 1, 2], [4, 5, 6]])


def test_an_older_ledger_with_other_damage_is_not_upgraded(state, capsys):
    make_version_1(state)
    damage_first(state)
    newest = max((state / "blobs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(b"damage")
    before = contents(state)
    assert doctor(state, "--drop-damaged") == 1
    assert "error: " in capsys.readouterr().err
    assert contents(state) == before


def test_a_ledger_in_postgresql_is_examined_too(tools, tmp_path, postgres_url, capsys):
    async def begin():
        async with tools.open_lab(tmp_path, database=postgres_url) as lab:
            await lab.create()
            await lab.contribute([0])

    asyncio.run(begin())
    assert doctor(tmp_path, "--database", postgres_url) == 0
    assert "1 contributions acknowledged" in capsys.readouterr().out
    damage_first(tmp_path)
    assert doctor(tmp_path, "--database", postgres_url) == 1
    assert doctor(tmp_path, "--database", postgres_url, "--drop-damaged") == 0
    assert doctor(tmp_path) == 1
    assert "there is no ledger" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["blobs", "log", "server-state", "ledger.sqlite"])
def test_parts_that_other_accounts_may_use_are_named(state, capsys, part):
    state.chmod(0o755)
    assert doctor(state) == 1  # without `serve`, other libraries' files follow the umask
    assert "other accounts may use ledger.sqlite, " in capsys.readouterr().out
    for path in state.rglob("*"):
        path.chmod(0o700)
    assert doctor(state) == 0
    (state / part).chmod(0o740)
    assert doctor(state) == 1
    assert (
        f"!! permissions              other accounts may use {part}: run chmod -R go= {state}"
        in capsys.readouterr().out
    )
    state.chmod(0o700)
    assert doctor(state) == 0
