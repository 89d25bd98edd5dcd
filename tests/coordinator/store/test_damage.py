"""A ledger that has lost transactions, or has rows that none can have, is refused and changed by nobody."""

import asyncio
import shutil
import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa

from coordinator.cli import main
from coordinator.engine.coordinator import Coordinator
from coordinator.errors import LedgerError
from tests.coordinator.store.test_state_folder import alter, contents, flip, path_of, segment


@pytest.fixture(scope="module")
def original(tools, tmp_path_factory):
    """What a kill leaves of a task with one round behind it, two contributions to the next, and a lease."""
    folder = tmp_path_factory.mktemp("original")

    async def begin():
        async with tools.open_lab(folder / "running") as lab:
            task_id = await lab.create()
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
        async with tools.open_lab(folder / "running") as lab:  # so that the main file holds what came before
            await lab.contribute([3, 4])
            await lab.assignment()
            shutil.copytree(folder / "running", folder / "killed")

    asyncio.run(begin())
    return folder / "killed"


@pytest.fixture
def state(original, tmp_path):
    shutil.copytree(original, tmp_path / "state")
    return tmp_path / "state"


def files(state):
    """Everything that lasts; SQLite makes an empty write-ahead log when a database is read."""
    found = {path: path.read_bytes() for path in state.rglob("*") if path.is_file() and path.suffix != ".sqlite-shm"}
    return {path: data for path, data in found.items() if data or path != wal_of(state)}


def check_refused(state, words, capsys):
    """Doctor and start refuse with one clear line, and change nothing."""
    before = files(state)
    assert main(["doctor", "--state", str(state)]) == 1
    out, errors = capsys.readouterr()
    assert errors.count("\n") <= 1
    assert words in out + errors
    with pytest.raises(LedgerError, match=words):
        asyncio.run(Coordinator.open(state))
    assert files(state) == before


def wal_of(state):
    return state / "ledger.sqlite-wal"


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.9, 0.999])
def test_a_write_ahead_log_that_ends_early_is_refused(share, state, capsys):
    content = bytearray(wal_of(state).read_bytes())
    content[int(share * len(content))] ^= 1
    wal_of(state).write_bytes(content)
    check_refused(state, "lost transactions", capsys)


def test_a_whole_folder_is_not_refused(state, tools):
    assert main(["doctor", "--state", str(state)]) == 0
    asyncio.run(go_on(tools, state, reported=2, seeds=[5], expected=[3, 4, 5]))


async def go_on(tools, state, reported, seeds, expected):
    async with tools.open_lab(state) as lab:
        task = await lab.only_task()
        assert (task.round, task.reported) == (1, reported)
        await lab.contribute(seeds)
        found = (await lab.committed(task.task_id, 2)).checkpoint.sha256
    assert found == tools.expected_checkpoint([[0, 1, 2], expected])


@pytest.mark.parametrize("lost", ["transactions", "witness", "page sums", "nothing"])
def test_what_is_accepted_begins_its_rounds_anew(lost, state, tools, capsys):
    log = segment(state).name
    match lost:
        case "transactions":
            wal_of(state).unlink()
        case "witness":
            (state / "witness").unlink()
        case "page sums":
            flip(state / "ledger.sqlite-pages", 20)
    (state / "blobs" / ("0" * 64)).write_bytes(b"of a commit that the ledger has lost")
    assert main(["doctor", "--state", str(state)]) == (lost != "nothing")
    assert main(["doctor", "--state", str(state), "--accept-ledger"]) == 0
    assert main(["doctor", "--state", str(state)]) == 0
    assert {path.name for path in (state / "aside").rglob("*") if path.is_file()} == {log, "0" * 64}

    async def number():
        async with tools.open_lab(state) as lab:
            assignment = await lab.assignment()
            await lab.fail(assignment)
            return assignment.round

    assert asyncio.run(number()) > 3  # the task has three rounds
    asyncio.run(go_on(tools, state, reported=0, seeds=[5, 6, 7], expected=[5, 6, 7]))


def test_a_ledger_with_faults_of_its_own_cannot_be_accepted(state, capsys):
    alter(state / "ledger.sqlite", "UPDATE task SET closing = x'ff'")
    before = files(state)
    assert main(["doctor", "--state", str(state), "--accept-ledger"]) == 1
    assert "a row of the ledger is damaged" in capsys.readouterr().err
    assert files(state) == before


def test_a_segment_of_a_later_round_is_evidence(state, capsys):
    segment(state).with_name(segment(state).name.replace("-1.", "-2.")).write_bytes(b"")
    check_refused(state, "lost transactions", capsys)


ROWS = {
    "task": [
        "closing = x'ff'",
        "versions = x'ff'",
        "versions = 'text'",
        "state = 99",
        "state = 'x'",
        "created = 'long ago'",
        "round = -1",
        "round = 4",
        "rounds = x'00'",
        "skipped = -1",
        "skipped = NULL",
        "manifest = x'00'",
        "checkpoint = 'text'",
        "population = CAST(x'ff' AS TEXT)",
    ],
    "round": ["state = 99", "opened = 'x'", "attempt = 'x'"],
    "assignment": [
        "state = 99",
        "deadline = 'soon'",
        "sha256 = NULL",
        "sha256 = x'00'",
        "segment = NULL",
        "segment = x'00'",
        "\"offset\" = 'x'",
        "length = NULL",
    ],
    "commits": ["number = 'x'"],
}


@pytest.mark.parametrize(("table", "change"), [(table, change) for table in ROWS for change in ROWS[table]])
def test_a_row_that_none_can_have_is_a_ledger_error(table, change, state, capsys):
    alter(state / "ledger.sqlite", f"UPDATE {table} SET {change}")
    check_refused(state, "ledger", capsys)


def test_a_schema_that_is_no_text_is_a_ledger_error(state, capsys):
    alter(
        state / "ledger.sqlite",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET name = CAST(x'ff' AS TEXT) WHERE name = 'task_history'",
    )
    check_refused(state, "ledger", capsys)


@pytest.mark.parametrize("what", ["checkpoint after 0 rounds", "server state after 0 rounds"])
def test_a_damaged_blob_that_no_round_needs_is_set_aside(what, state, tools):
    path = path_of(what, state)
    flip(path, 0)
    damaged = path.read_bytes()
    asyncio.run(go_on(tools, state, reported=2, seeds=[5], expected=[3, 4, 5]))
    assert (state / "aside" / path.parent.name / path.name).read_bytes() == damaged


def test_a_ledger_in_postgresql_has_a_witness_too(tools, tmp_path, postgres_url, capsys):
    async def begin():
        async with tools.open_lab(tmp_path, database=postgres_url) as lab:
            await lab.create()
            await lab.contribute([0])

    async def round_of_a_device():
        async with tools.open_lab(tmp_path, database=postgres_url) as lab:
            assert (await lab.only_task()).reported == 0
            return (await lab.assignment()).round

    asyncio.run(begin())
    alter_postgres(postgres_url, "UPDATE commits SET number = number - 1")
    before, doctor = contents(tmp_path), ["doctor", "--state", str(tmp_path), "--database", postgres_url]
    assert main(doctor) == 1
    assert "lost transactions" in capsys.readouterr().out
    with pytest.raises(LedgerError, match="lost transactions"):
        asyncio.run(Coordinator.open(tmp_path, database=postgres_url))
    assert contents(tmp_path) == before
    assert main([*doctor, "--accept-ledger"]) == 0
    assert asyncio.run(round_of_a_device()) >= 3


def alter_postgres(url, statement):
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.mark.parametrize("fault", ["manifest", "checkpoint", "id", "log"])
def test_what_cannot_be_accepted_stays_as_it_is(fault, state, capsys):
    wal_of(state).unlink()
    match fault:
        case "manifest" | "checkpoint":
            with closing(sqlite3.connect(f"file:{state / 'ledger.sqlite'}?immutable=1", uri=True)) as ledger:
                ((digest,),) = ledger.execute(f"SELECT {fault} FROM task")
            (state / "blobs" / digest.hex()).unlink()
        case "id":
            (state / "id").write_text("another")
        case "log":
            shutil.rmtree(state / "log")
    before = files(state)
    assert main(["doctor", "--state", str(state), "--accept-ledger"]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert files(state) == before
