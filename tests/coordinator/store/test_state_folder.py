"""Whatever a disk brings back: detected, explained, recovered or refused, and nothing is removed on the way."""

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from coordinator.cli import main
from coordinator.engine.coordinator import Coordinator
from coordinator.errors import BlobLostError, LedgerError, LogError
from coordinator.store.disk import REAL
from coordinator.store.ledger import Ledger
from coordinator.store.page_sums import PageSums
from coordinator.store.state_folder import StateFolder
from coordinator.store.task_blobs import kept_blobs
from fedau2.v1 import task_pb2
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs
from tests.coordinator.store.test_migrations import TYPES, VERSION_1

ROUNDS = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


@pytest.fixture(scope="module")
def original(tools, tmp_path_factory):
    """A folder whose task has two rounds behind it, and one contribution and one lease in the third."""
    folder = tmp_path_factory.mktemp("original") / "state"
    bundle = tools.make_bundle()
    graph = b"a graph"
    bundle.manifest.graphs.add(kind=task_pb2.GRAPH_KIND_RECOMMEND, resource=blobs.resource(graph))
    bundle.blobs[blobs.sha256(graph)] = graph

    async def begin():
        async with tools.open_lab(folder) as lab:
            task_id = await lab.create(bundle)
            for number, seeds in enumerate(ROUNDS[:2]):
                await lab.contribute(seeds)
                await lab.committed(task_id, number + 1)
            await lab.contribute([6])
            await lab.assignment()

    asyncio.run(begin())
    return folder


@pytest.fixture
def state(original, tmp_path):
    shutil.copytree(original, tmp_path / "state")
    return tmp_path / "state"


def goes_on(tools, state, **options):
    async def end():
        async with tools.open_lab(state, **options) as lab:
            task_id = (await lab.only_task()).task_id
            await lab.contribute([7, 8])
            return (await lab.committed(task_id, 3)).checkpoint.sha256

    return asyncio.run(end()) == tools.expected_checkpoint(ROUNDS)


def contents(state):
    """Everything but the ledger, which SQLite may tidy up."""
    files = {path for path in state.rglob("*") if path.is_file() and not path.name.startswith("ledger.sqlite")}
    return {path.relative_to(state): path.read_bytes() for path in files}


def segment(state):
    return next((state / "log").iterdir())


def path_of(what, state):
    ledger = Ledger(f"sqlite:///{state / 'ledger.sqlite'}")
    (row,) = ledger.tasks()
    ledger.close()
    manifest = TaskManifest.FromString((state / "blobs" / row.manifest.hex()).read_bytes())
    blob = next(blob for blob in kept_blobs(row, manifest) if blob.use == what)
    return state / ("blobs" if blob.served else "server-state") / blob.sha256.hex()


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 16
    path.write_bytes(data)


def cut(path, share):
    os.truncate(path, int(path.stat().st_size * share))


def alter(path, *statements):
    """Changes the ledger as a coordinator could have, with new sums of its pages."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    PageSums(path, REAL).accept()


DAMAGE = {
    **{f"bit {at} of a record": lambda state, at=at: flip(segment(state), at) for at in (0, 8, 16, 48, -1)},
    "torn record": lambda state: cut(segment(state), 0.5),
    "empty segment": lambda state: cut(segment(state), 0),
    "missing segment": lambda state: segment(state).unlink(),
    "ledger of noise": lambda state: (state / "ledger.sqlite").write_bytes(b"noise" * 1000),
    "half a ledger": lambda state: cut(state / "ledger.sqlite", 0.5),
    "empty ledger": lambda state: cut(state / "ledger.sqlite", 0),
    "missing ledger": lambda state: (state / "ledger.sqlite").unlink(),
    "newer ledger": lambda state: alter(state / "ledger.sqlite", "UPDATE meta SET version = version + 1"),
    "foreign ledger": lambda state: alter(state / "ledger.sqlite", "UPDATE meta SET folder = 'another'"),
    "missing id": lambda state: (state / "id").unlink(),
    "empty id": lambda state: cut(state / "id", 0),
    "id of noise": lambda state: (state / "id").write_bytes(b"\xff\xfe"),
}
WORDS = {"record": "doctor --drop-damaged", "segment": "doctor --drop-damaged", "newer ledger": "update it"}
"""What an operator is told to do; otherwise it is to restore something or to name what belongs together."""


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_refused_with_a_reason_and_nothing_is_removed(damage, state, original, capsys, tools):
    DAMAGE[damage](state)
    check_refused(state, next((word for end, word in WORDS.items() if damage.endswith(end)), "restore|belong"), capsys)
    restore(original, state)
    assert goes_on(tools, state)


@pytest.mark.parametrize("what", ["manifest", "catalogue", "graph recommend", "checkpoint", "server state"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: flip(path, 0), lambda path: cut(path, 0)])
def test_a_blob_that_a_running_task_needs_is_checked_before_serving(what, damage, state, original, capsys, tools):
    damage(path_of(what, state))
    check_refused(state, f"the {what} of task .* is lost.*put the file back from a copy", capsys, doctors=what)
    restore(original, state)
    assert goes_on(tools, state)


def check_refused(state, serves, capsys, doctors=""):
    before = contents(state)
    for command, words in (("doctor", doctors), ("serve", serves)):
        capsys.readouterr()
        addresses = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"] if command == "serve" else []
        assert main([command, "--state", str(state), *addresses]) == 1
        out, errors = capsys.readouterr()
        assert errors.count("error: ") == len(errors.splitlines()) <= 1  # and no traceback
        assert re.search(words, out + errors), (out, errors)
        assert contents(state) == before


def restore(original, state):
    shutil.rmtree(state)
    shutil.copytree(original, state)


@pytest.mark.parametrize("what", ["first checkpoint", "checkpoint after 1 rounds", "server state after 1 rounds"])
def test_what_a_task_can_do_without_is_the_doctors_finding_only(what, state, capsys, tools):
    path_of(what, state).unlink()
    assert main(["doctor", "--state", str(state)]) == 1
    assert f"!!   {what}" in capsys.readouterr().out
    assert goes_on(tools, state)


def test_a_folder_may_be_moved_and_copied(state, tmp_path, tools):
    shutil.copytree(state, tmp_path / "copy")
    state.rename(tmp_path / "moved")
    assert goes_on(tools, tmp_path / "moved")
    assert goes_on(tools, tmp_path / "copy")


def test_the_ledger_of_another_folder_is_refused(state, tmp_path, tools):
    before = contents(state)

    async def check():
        async with tools.open_lab(tmp_path / "other") as lab:
            await lab.create(tools.make_bundle(tools.SGD))
        for ledger in (tmp_path / "other" / "ledger.sqlite", tmp_path / "new.sqlite"):
            with pytest.raises(LedgerError, match="belong together"):
                await Coordinator.open(state, database=f"sqlite:///{ledger}")

    asyncio.run(check())
    assert contents(state) == before
    assert goes_on(tools, state)


def make_version_1(state):
    """Turns a folder into one that the first version made."""
    now, old = state / "ledger.sqlite", state / "version-1.sqlite"
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.executescript(VERSION_1.partition("INSERT")[0].format(**TYPES["sqlite"]))
        connection.execute("ATTACH ? AS now", (str(now),))
        for (table,) in connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            columns = ", ".join(f'"{row[1]}"' for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}")
    old.replace(now)
    for name in ("id", "witness", "ledger.sqlite-pages", "ledger.sqlite-wal", "ledger.sqlite-shm"):
        (state / name).unlink(missing_ok=True)


def test_a_folder_of_the_first_version_goes_on_and_gets_an_id(state, tools):
    make_version_1(state)
    assert goes_on(tools, state)
    with closing(Ledger(f"sqlite:///{state / 'ledger.sqlite'}")) as ledger:
        assert ledger.folder == StateFolder(state).id


@pytest.mark.parametrize("damage", ["checkpoint", "log"])
def test_a_damaged_folder_of_the_first_version_is_refused_before_its_upgrade(state, tools, damage):
    make_version_1(state)
    path = next((state / "log").iterdir()) if damage == "log" else path_of(damage, state)
    flip(path, -1)
    before = contents(state)
    for _ in range(2):
        with pytest.raises((BlobLostError, LogError)):
            asyncio.run(Coordinator.open(state))
        assert contents(state) == before
    flip(path, -1)
    assert goes_on(tools, state)


def test_a_ledger_of_the_first_version_is_known_by_its_tasks(state, tmp_path, tools):
    make_version_1(state)

    async def check():
        async with tools.open_lab(tmp_path / "other") as lab:
            await lab.create(tools.make_bundle(tools.SGD))
        (tmp_path / "other" / "id").unlink()
        with pytest.raises(LedgerError, match="lacks manifest"):
            await Coordinator.open(tmp_path / "other", database=f"sqlite:///{state / 'ledger.sqlite'}")

    asyncio.run(check())
    assert not (tmp_path / "other" / "id").exists()
    assert goes_on(tools, state)


@pytest.mark.parametrize("part", ["", "blobs", "server-state", "log"])
def test_a_file_in_the_place_of_a_folder_is_refused(part, tmp_path, capsys):
    path = tmp_path / "state" / part
    path.parent.mkdir(exist_ok=True)
    path.write_text("a file")
    assert main(["serve", "--state", str(tmp_path / "state")]) == 1
    assert "must be a folder that this user may read and write" in capsys.readouterr().err
    assert path.read_text() == "a file"


@pytest.mark.parametrize("part", ["", "blobs", "server-state", "log"])
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_folder_without_permission_is_refused(part, mode, state, tools):
    before = contents(state)
    (state / part).chmod(mode)
    for command in (["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"], ["doctor"]):
        child = unprivileged(*command, "--state", str(state))
        assert "Traceback" not in child.stderr
        readable = command == ["doctor"] and mode == 0o500
        assert child.returncode == (0 if readable else 1), (child.stdout, child.stderr)
    (state / part).chmod(0o755)
    assert contents(state) == before
    assert goes_on(tools, state)


def unprivileged(*arguments):
    """Runs a command as a user who is bound by permissions, as root is not."""
    prefix = []
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv") or pytest.skip("root needs setpriv to be bound by permissions")
        prefix = [setpriv, "--bounding-set", "-dac_override,-dac_read_search", "--"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*prefix, sys.executable, "-m", "coordinator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
