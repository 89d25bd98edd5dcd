"""Folders of terms: a successor begins with the files of the term before, and nothing of the past changes its own."""

import asyncio
from contextlib import closing, contextmanager

import pytest

from coordinator.errors import FolderError, FolderLockedError, LedgerError
from coordinator.store import terms
from coordinator.store.disk import REAL
from coordinator.store.ledger import Ledger
from coordinator.store.operations_log import OperationsLog, read
from coordinator.store.state_folder import StateFolder, hold
from fedau2.wire.status import Status, StatusError
from tests.coordinator.leases import led


@contextmanager
def leading(url, name="first:1"):
    with closing(led(url, name)) as lease:
        yield lease


async def work(tools, folder, url, seeds=(0,), rounds=0):
    """Contributes to the only task, which is made first, and waits for so many committed rounds."""
    async with tools.open_lab(folder, database=url) as lab:
        if folder_is_new(lab):
            await lab.create(tools.make_bundle(rounds=9, closing=tools.closing(2)))
        await lab.contribute(seeds)
        return await lab.committed((await lab.only_task()).task_id, rounds)


def folder_is_new(lab):
    return not lab.coordinator._tasks.rows()


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_term_goes_on_in_a_folder_of_its_own(tools, tmp_path, postgres_url):
    folders = []
    for number, (seeds, rounds) in enumerate([((0,), 0), ((1,), 1), ((2, 3), 2)]):
        with leading(postgres_url) as lease:
            folders.append(terms.begin(tmp_path, lease, REAL))
            before = contents(folders[-2]) if number else {}
            task = asyncio.run(work(tools, folders[-1], lease.term_url, seeds, rounds))
            assert StateFolder(folders[-1]).id == folders[-1].name == lease.home()
            # The past is as it was, though the log of the open round went on.
            assert {name: contents(folders[-2])[name] for name in before} == before if number else True
            terms.sweep(tmp_path, lease)
        assert list(tmp_path.iterdir()) == folders[-1:]
    assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1], [2, 3]])


def test_nothing_that_a_former_leader_does_in_its_folder_reaches_the_successor(tools, tmp_path, postgres_url):
    with leading(postgres_url) as lease:
        past = terms.begin(tmp_path, lease, REAL)
        asyncio.run(work(tools, past, lease.term_url))
    with leading(postgres_url) as lease:
        present = terms.begin(tmp_path, lease, REAL)
        known = contents(present)
        for path in past.rglob("*"):
            if path.is_file() and path.parent.name == "log":
                with path.open("ab") as file:
                    file.write(b"of a leader that does not know")
            elif path.is_file():
                new = path.with_name("new")
                new.write_bytes(b"of a leader that does not know")
                new.replace(path) if path.stat().st_nlink > 1 else path.write_bytes(b"written in place")
        for path in past.rglob("*"):
            if path.is_file():
                path.unlink()
        changed = {name for name, data in contents(present).items() if data != known.get(name)}
        assert all(name.startswith("log/") for name in changed)  # bytes behind the records, to which no row points
        task = asyncio.run(work(tools, present, lease.term_url, [1], 1))
    assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1]])


def test_who_has_lost_the_lease_removes_nothing_and_moves_nothing(tools, tmp_path, postgres_url):
    with leading(postgres_url) as former:
        past = terms.begin(tmp_path, former, REAL)
        asyncio.run(work(tools, past, former.term_url))
        former._connection.invalidate()  # as if the server had ended its session
        former._connection = None
        with leading(postgres_url, "second:2") as lease:
            present = terms.begin(tmp_path, lease, REAL)
            for attempt in (terms.sweep, lambda shared, lease: terms.begin(shared, lease, REAL)):
                with pytest.raises(LedgerError, match="has ended"):
                    attempt(tmp_path, former)
            assert {past, present} == set(tmp_path.iterdir())
            assert asyncio.run(work(tools, present, lease.term_url, [1], 1)).round == 1


def test_crashes_at_the_start_leave_nothing_that_piles_up(tools, tmp_path, postgres_url):
    with leading(postgres_url) as lease:
        asyncio.run(work(tools, terms.begin(tmp_path, lease, REAL), lease.term_url))
        for _ in range(3):
            folder = terms.begin(tmp_path, lease, REAL)  # and then it crashes
            assert len(list(tmp_path.iterdir())) <= 2
        (tmp_path / "notes").mkdir()
        terms.sweep(tmp_path, lease)
        assert {path.name for path in tmp_path.iterdir()} == {folder.name, "notes"}


def test_a_folder_that_was_never_made_whole_is_removed_unless_somebody_makes_it(
    tools, tmp_path, postgres_url, monkeypatch
):
    with leading(postgres_url) as lease:
        asyncio.run(work(tools, terms.begin(tmp_path, lease, REAL), lease.term_url))

        def crash(*arguments):
            raise RuntimeError("the power fails")

        with monkeypatch.context() as patch:
            patch.setattr(terms, "_link", crash)
            with pytest.raises(RuntimeError):
                terms.begin(tmp_path, lease, REAL)
        (left,) = tmp_path.glob("*.part")
        others = [tmp_path / name for name in ("notes.part", f"{'a' * 32}.part")]
        for folder in others:
            folder.mkdir()
        with hold((others[1] / "lock").open("a")):  # of another ledger, for example
            terms.sweep(tmp_path, lease)
            assert (left.exists(), [folder.exists() for folder in others]) == (False, [True, True])
        terms.sweep(tmp_path, lease)
        assert [folder.exists() for folder in others] == [True, False]


def test_folders_of_another_ledger_and_of_a_newer_one_are_left_alone(tools, tmp_path, postgres_url):
    """Such as that of the ledger of which this one is a copy of yesterday."""
    strange = tmp_path / ("0" * 32)
    strange.mkdir()
    (strange / "lock").touch()
    with leading(postgres_url) as lease:
        for _ in range(3):
            folder = terms.begin(tmp_path, lease, REAL)
            asyncio.run(work(tools, folder, lease.term_url, []))
            terms.sweep(tmp_path, lease)
        assert set(tmp_path.iterdir()) == {strange, folder}
        folder.rename(tmp_path / ("f" * 32))  # the ledger does not belong to what is here
        known = contents(tmp_path)
        with pytest.raises(LedgerError, match="is not there"):
            terms.begin(tmp_path, lease, REAL)
        assert contents(tmp_path) == known


def test_a_folder_that_is_in_use_is_not_removed(tools, tmp_path, postgres_url):
    with leading(postgres_url) as lease:
        past = terms.begin(tmp_path, lease, REAL)
        asyncio.run(work(tools, past, lease.term_url))
    with leading(postgres_url) as lease:
        with hold((past / "lock").open("a")):
            present = terms.begin(tmp_path, lease, REAL)
            terms.sweep(tmp_path, lease)
            assert set(tmp_path.iterdir()) == {past, present}
        terms.sweep(tmp_path, lease)
        assert set(tmp_path.iterdir()) == {present}


def test_the_operators_log_goes_on(tools, tmp_path, postgres_url):
    for number in range(3):
        with leading(postgres_url) as lease:
            folder = StateFolder(terms.begin(tmp_path, lease, REAL))
            asyncio.run(work(tools, folder.path, lease.term_url, []))
            with closing(OperationsLog.open(folder.operations, REAL)) as log:
                log.append({"number": number})
    assert [entry["number"] for entry, _ in read(folder.operations)] == [0, 1, 2]


def test_a_ledger_that_lost_transactions_is_not_taken_over(tools, tmp_path, postgres_url):
    with leading(postgres_url) as lease:
        past = terms.begin(tmp_path, lease, REAL)
        asyncio.run(work(tools, past, lease.term_url))
        with closing(Ledger(lease.term_url)) as ledger, ledger._database.transaction() as connection:
            connection.exec_driver_sql("UPDATE commits SET number = 1")
        with pytest.raises(LedgerError, match="has lost transactions"):
            terms.begin(tmp_path, lease, REAL)
        assert lease.home() == past.name


def test_the_folder_of_a_coordinator_that_was_alone_is_moved_in(tools, tmp_path, postgres_url):
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    asyncio.run(work(tools, alone, postgres_url))
    shared.mkdir()
    with leading(postgres_url) as lease:
        with pytest.raises(LedgerError, match="moved there"):
            terms.begin(shared, lease, REAL)
        alone.rename(shared / StateFolder(alone).id)
        folder = terms.begin(shared, lease, REAL)
        assert asyncio.run(work(tools, folder, lease.term_url, [1], 1)).round == 1


def test_a_coordinator_that_shares_with_nobody_keeps_the_ledger(tools, tmp_path, postgres_url):
    async def main():
        async with tools.open_lab(tmp_path / "alone", database=postgres_url):
            with leading(postgres_url) as lease, pytest.raises(FolderLockedError, match="used by another coordinator"):
                terms.begin(tmp_path / "shared", lease, REAL)

    asyncio.run(main())


def test_a_shared_folder_that_is_not_mounted_is_named(tools, tmp_path, postgres_url):
    with leading(postgres_url) as lease:
        asyncio.run(work(tools, terms.begin(tmp_path / "shared", lease, REAL), lease.term_url))
        with pytest.raises(LedgerError, match="is not there: give --state and --database that belong together"):
            terms.begin(tmp_path / "empty" / "shared", lease, REAL)


def test_a_shared_folder_that_is_a_file_is_named(tmp_path, postgres_url):
    (tmp_path / "file").write_text("")
    with leading(postgres_url) as lease, pytest.raises(FolderError, match="shared folder cannot be used"):
        terms.begin(tmp_path / "file", lease, REAL)


@pytest.mark.parametrize(("ahead", "status"), [(-300, None), (300, Status.DEADLINE_EXCEEDED)])
def test_a_successor_whose_clock_differs_by_minutes_loses_nothing_acknowledged(
    tools, tmp_path, postgres_url, ahead, status
):
    async def before(folder, url):
        async with tools.open_lab(folder, database=url) as lab:
            await lab.create()
            await lab.contribute([0])
            return await lab.assignment()

    async def after(folder, url, assignment):
        clock = tools.Clock()
        clock.now += ahead
        async with tools.open_lab(folder, database=url, clock=clock) as lab:
            assert (await lab.only_task()).reported == 1
            try:
                await lab.upload(assignment, tools.make_contribution(1))
            except StatusError as error:
                return error.status

    with leading(postgres_url) as lease:
        assignment = asyncio.run(before(terms.begin(tmp_path, lease, REAL), lease.term_url))
    with leading(postgres_url) as lease:
        assert asyncio.run(after(terms.begin(tmp_path, lease, REAL), lease.term_url, assignment)) is status
