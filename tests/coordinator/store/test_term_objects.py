"""Terms in an object store: a successor on another machine goes on, and nothing of the past changes its objects."""

import asyncio
import shutil
from contextlib import closing
from datetime import timedelta

import pytest

from coordinator.errors import FolderError, FolderLockedError, LedgerError, LogError, ObjectsError
from coordinator.store import object_files, objects, term_objects
from coordinator.store.disk import REAL
from coordinator.store.ledger import Ledger
from coordinator.store.objects import Objects
from coordinator.store.operations_log import OperationsLog, read
from coordinator.store.state_folder import StateFolder
from coordinator.store.term_objects import alone_in
from tests.coordinator.store.test_terms import leading


class Machine:
    """A coordinator's machine, which vanishes with its folder when its term is over."""

    def __init__(self, tools, folder, url, objects_url):
        self.local, self.tools, self.url = folder, tools, url
        self.objects = Objects.open(objects_url)

    def lead(self, seeds=(), rounds=0, sweep=True, recorded=None, before=lambda mirror: None):
        """Takes over, contributes to the only task, which is made first, and waits for so many committed rounds."""
        with leading(self.url) as lease, closing(term_objects.begin(self.local, self.objects, lease)) as mirror:
            before(mirror)
            task = asyncio.run(self._work(mirror, lease.term_url, seeds, rounds))
            if recorded is not None:
                with closing(OperationsLog.open(StateFolder(mirror.folder).operations, mirror)) as log:
                    log.append({"number": recorded})
                    log.append({"number": recorded + 1})
            if sweep:
                term_objects.sweep(mirror, lease)
        return mirror, task

    async def _work(self, mirror, url, seeds, rounds):
        async with self.tools.open_lab(mirror.folder, database=url, disk=mirror) as lab:
            if not lab.coordinator._tasks.rows():
                await lab.create(self.tools.make_bundle(rounds=9, closing=self.tools.closing(2)))
            await lab.contribute(seeds)
            return await lab.committed((await lab.only_task()).task_id, rounds)

    def vanish(self):
        shutil.rmtree(self.local)


@pytest.fixture
def machine(tools, tmp_path, postgres_url, s3_url, monkeypatch):
    monkeypatch.setattr(objects, "_FIRST", timedelta(seconds=0.01))
    return Machine(tools, tmp_path / "local", postgres_url, s3_url)


def terms_of(machine):
    return {item.key.partition("/")[0] for item in machine.objects.list("")} - {"timelines"}


def contents(folder):
    """The files that are objects too."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name.partition("/")[0] in object_files.PARTS}


def test_each_term_goes_on_on_another_machine(machine, tools, tmp_path):
    for number, (seeds, rounds) in enumerate([((0,), 0), ((1,), 1), ((2, 3), 2)]):
        mirror, task = machine.lead(seeds, rounds, recorded=2 * number)
        kept = contents(mirror.folder)
        machine.vanish()
        copy = tmp_path / f"copy-{number}"
        object_files.fetch(machine.objects, mirror.folder.name, copy)
        fetched = contents(copy)
        assert fetched.pop("witness")  # in the store it is of the last round or change of a task
        assert fetched == {name: data for name, data in kept.items() if name != "witness"}
        assert terms_of(machine) == {mirror.folder.name}
    assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1], [2, 3]])
    log = StateFolder(copy).operations
    assert [entry["number"] for entry, _ in read(log)] == list(range(6))


def test_nothing_that_a_former_leader_does_reaches_the_successor(machine, tools):
    past, _ = machine.lead([0], 0, sweep=False)
    late = term_objects.Mirror(past.folder, machine.objects)

    def wake_up(mirror):
        for path in sorted((*past.folder.glob("*/*"), *past.folder.glob("*"))):
            if path.is_file() and path.name != term_objects._CACHE:
                late.write_file(path, b"of a leader that was stopped")
                late.delete(path)
        late.flush()
        late.close()

    mirror, task = machine.lead([1], 1, before=wake_up)
    assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1]])
    for item in machine.objects.list(past.folder.name):
        pytest.fail(f"{item.key} is left")
    # What it writes even later goes with the next change.
    late = term_objects.Mirror(past.folder, machine.objects)
    past.folder.joinpath("blobs").mkdir(parents=True)
    late.write_file(past.folder / "blobs" / ("0" * 64), b"late")
    late.close()
    mirror, _ = machine.lead()
    assert terms_of(machine) == {mirror.folder.name}


def test_a_key_is_used_for_the_same_bytes_only(machine, monkeypatch):
    """Of the operators' log too, which is empty at first."""
    sent, put = {}, Objects.put

    def noted(self, key, data):
        content = data if isinstance(data, bytes) else data.read_bytes()
        assert sent.setdefault(key, content) == content
        put(self, key, data)

    monkeypatch.setattr(Objects, "put", noted)
    machine.lead([0], recorded=0)
    machine.lead([1], 1, recorded=2)
    assert any(object_files.RECORDED in key for key in sent)


def test_attempts_that_fail_leave_nothing_that_piles_up(machine, s3_way):
    machine.lead([0])
    for _ in range(2):
        with pytest.raises(RuntimeError):
            machine.lead(before=lambda mirror: exec("raise RuntimeError"))
        assert len(terms_of(machine)) <= 3
        assert len(list(machine.local.iterdir())) <= 2
    mirror, task = machine.lead([1], 1)
    assert task.round == 1
    assert terms_of(machine) == {mirror.folder.name}
    assert list(machine.local.iterdir()) == [mirror.folder]


def test_who_has_lost_the_lease_moves_nothing_and_removes_nothing(machine):
    mirror, _ = machine.lead([0])
    with leading(machine.url) as lease:
        lease.close()
        with pytest.raises(LedgerError):
            term_objects.begin(machine.local, machine.objects, lease)
        with pytest.raises(LedgerError):
            term_objects.sweep(mirror, lease)
    assert terms_of(machine) == {mirror.folder.name}
    assert list(machine.local.iterdir()) == [mirror.folder]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the read of the ledger breaks off
def test_a_record_that_is_lost_is_named(machine):
    mirror, _ = machine.lead([0])
    machine.vanish()
    listed = object_files.listed(machine.objects, mirror.folder.name)
    (((record,), _),) = [(parts, name) for name, parts in listed.items() if name.startswith("log/")]
    machine.objects.delete(record.key)
    with pytest.raises(LogError):
        machine.lead()


def test_a_ledger_that_lost_transactions_is_not_taken_over(machine):
    mirror, _ = machine.lead([0, 1], 1)
    with closing(Ledger(machine.url)) as ledger, ledger._database.transaction() as connection:
        connection.exec_driver_sql("UPDATE commits SET number = 1")
    with pytest.raises(LedgerError, match="has lost transactions"):
        machine.lead()
    assert terms_of(machine) == {mirror.folder.name}


def test_a_ledger_that_lacks_a_term_which_was_led_is_refused(machine):
    """As it is in a replica that was promoted while the primary was used."""
    first, _ = machine.lead([1])
    second, _ = machine.lead([2], sweep=False)
    with leading(machine.url) as lease:
        commits = StateFolder(second.folder).witness(REAL).read()
        lease.move(second.folder.name, first.folder.name, commits)
    StateFolder(second.folder).witness(REAL).make(commits + 2)  # of a transaction that the ledger lacks
    newest = object_files.key(second.folder.name, object_files.WITNESS, 10**9)
    machine.objects.put(newest, (second.folder / object_files.WITNESS).read_bytes())
    before = {item.key for item in machine.objects.list("")}
    with pytest.raises(LedgerError, match=f"has {commits + 1} of the {commits + 2} .*{second.folder.name}"):
        machine.lead()
    assert {item.key for item in machine.objects.list("")} == before


@pytest.mark.parametrize(("server", "later", "refused"), [("", 1, True), ("", 0, False), ("9", 1, False)])
def test_a_later_timeline_of_the_same_server_is_refused(machine, server, later, refused):
    machine.lead([1])
    with leading(machine.url) as lease:
        system, timeline = lease.timeline()
        machine.objects.put(f"timelines/{system}{server}.{timeline + later}", b"")
    if refused:
        with pytest.raises(LedgerError, match=f"former primary, on timeline {timeline}: "):
            machine.lead()
    else:
        machine.lead()


def test_another_store_is_named(machine, s3_server):
    machine.lead([0])
    machine.vanish()
    machine.objects = Objects.open(f"s3://{s3_server.bucket()}/fedau2")
    with pytest.raises(LedgerError, match="give --objects and --database that belong together"):
        machine.lead()
    assert terms_of(machine) == set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the read of the ledger breaks off
def test_the_folder_of_a_coordinator_without_a_store_moves_in_and_out(tools, machine, tmp_path, s3_url):
    async def work(folder, seeds, rounds):
        async with tools.open_lab(folder, database=machine.url) as lab:
            if not lab.coordinator._tasks.rows():
                await lab.create(tools.make_bundle(rounds=9, closing=tools.closing(2)))
            await lab.contribute(seeds)
            return await lab.committed((await lab.only_task()).task_id, rounds)

    asyncio.run(work(tmp_path / "alone", [0], 0))
    with pytest.raises(FolderError, match="is a state folder"), alone_in(tmp_path / "alone"):
        pass
    machine.local.mkdir()
    moved = (tmp_path / "alone").rename(machine.local / StateFolder(tmp_path / "alone").id)
    mirror, _ = machine.lead([1], 1)
    assert set(machine.local.iterdir()) == {mirror.folder, moved}  # what was not made here is not removed
    object_files.fetch(machine.objects, mirror.folder.name, tmp_path / "fetched")
    assert asyncio.run(work(mirror.folder, [2], 1)).round == 1
    # What was fetched is from before that: it has no record of the contribution, and so it cannot be brought back.
    machine.local, machine.objects = tmp_path / "other", Objects.open(f"{s3_url}/new")
    machine.local.mkdir()
    (tmp_path / "fetched").rename(machine.local / mirror.folder.name)
    with pytest.raises(LogError):
        machine.lead()


def test_what_is_left_of_an_earlier_term_is_never_taken_for_a_folder_that_was_moved(machine):
    """Else a ledger that lacks the terms since then would go on with it, and their rounds would be gone."""
    first, _ = machine.lead([0], sweep=False)
    kept = machine.local.rename(machine.local.with_name("kept"))
    second, _ = machine.lead([1], 1)
    with leading(machine.url) as lease:
        lease.move(second.folder.name, first.folder.name, StateFolder(second.folder).witness(REAL).read())
    machine.local = kept
    before = {item.key for item in machine.objects.list("")}
    with pytest.raises(LedgerError, match=f"no state folder with id {first.folder.name}"):
        machine.lead()
    assert {item.key for item in machine.objects.list("")} == before


@pytest.mark.parametrize("swept", [False, True], ids=["the same term", "a later term"])
def test_a_folder_is_not_moved_to_a_store_that_has_files_already(machine, tmp_path, swept):
    first, _ = machine.lead([0], sweep=False)
    object_files.fetch(machine.objects, first.folder.name, tmp_path / "fetched")
    if swept:
        second, _ = machine.lead()
        with leading(machine.url) as lease:
            lease.move(second.folder.name, first.folder.name, StateFolder(second.folder).witness(REAL).read())
    machine.vanish()
    machine.local.mkdir()
    moved = (tmp_path / "fetched").rename(machine.local / first.folder.name)
    for _ in range(2):
        with pytest.raises(LedgerError, match="was moved here, and the object store has"):
            machine.lead()
        assert moved.is_dir()


def test_a_folder_that_was_fetched_is_brought_back_with_another_prefix(machine, tmp_path, s3_url):
    mirror, _ = machine.lead([0])
    object_files.fetch(machine.objects, mirror.folder.name, tmp_path / "fetched")
    machine.local, machine.objects = tmp_path / "other", Objects.open(f"{s3_url}/new")
    machine.local.mkdir()
    (tmp_path / "fetched").rename(machine.local / mirror.folder.name)
    mirror, task = machine.lead([1], 1)
    assert task.round == 1
    assert terms_of(machine) == {mirror.folder.name}


def test_a_folder_has_one_coordinator(tmp_path):
    with alone_in(tmp_path / "local"), pytest.raises(FolderLockedError), alone_in(tmp_path / "local"):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError), alone_in(tmp_path / "file"):
        pass


def test_a_take_over_survives_a_store_that_fails_for_a_while(machine, s3_way, tools):
    s3_way.fail_at_random(0.15, seed=3)
    for seeds, rounds in (([0], 0), ([1], 1)):
        _, task = machine.lead(seeds, rounds)
        machine.vanish()
    assert len(s3_way.failed) == 3
    assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1]])


def test_a_folder_that_cannot_be_written_is_named(machine, s3_way, tmp_path):
    (tmp_path / "file").write_text("")
    machine.local = tmp_path / "file"
    with pytest.raises(FolderError, match="the folder of this coordinator cannot be used"):
        machine.lead()


def test_a_store_that_stays_away_is_named(machine, s3_way):
    s3_way.fail("denied", "PUT", times=100)
    with pytest.raises(ObjectsError, match="cannot be used"):
        machine.lead()
