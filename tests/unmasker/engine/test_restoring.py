"""An unmasker that was restored from a copy has no key of before, however it was restored."""

import shutil
import sqlite3
from contextlib import closing

import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import delete, insert, select, update

from fedau2.v1.unmasker_pb2 import LogEntry, LogHead
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity import log
from tests.unmasker.conftest import RULES
from tests.unmasker.device import Device, opening
from tests.unmasker.engine.test_enrolment import enrolled, revoke, verdicts
from tests.unmasker.engine.test_rounds import audited, identity, private
from unmasker import Books, StateFolder, Unmasker
from unmasker.engine import reading
from unmasker.errors import BooksError, InvalidRequestError
from unmasker.store import epoch, public_log
from unmasker.store.tables import log_entry, meta, policy, task_round
from unmasker.store.witness import Witness


def reopened(folder, clock):
    return closing(Unmasker(Books(folder, None, clock), RULES))


@pytest.fixture
def history(folder, clock):
    """A folder with a database of yesterday beside that of today, and what was said in between."""
    with closing(Unmasker(Books.make(folder, None, clock), RULES)) as made:
        yesterday = made.open_round(opening(3))
        shutil.copy(folder.path / "unmasker.sqlite", folder.path / "copy")
        today = made.open_round(opening(4))
        lost = enrolled(made, Device())
    return yesterday, today, lost


def restore(folder):
    for path in folder.path.glob("unmasker.sqlite*"):
        path.unlink()
    shutil.copy(folder.path / "copy", folder.path / "unmasker.sqlite")


def epochs(unmasker):
    return sum(entry.HasField("epoch") for entry in audited(unmasker).entries)


def test_a_restart_is_not_a_restoration(folder, clock):
    with closing(Unmasker(Books.make(folder, None, clock), RULES)) as made:
        opened = made.open_round(opening(3))
    for _ in range(2):
        with reopened(folder, clock) as made:
            assert made.open_round(opening(3)).key == opened.key
            assert private(made, opening(3))
            assert epochs(made) == 0


def test_a_database_of_yesterday_begins_a_new_epoch(folder, clock, history):
    yesterday, today, lost = history
    restore(folder)
    with reopened(folder, clock) as made:
        assert epochs(made) == 1
        assert verdicts(made, lost) == [False], "a certificate that the books do not have is not believed"
        fresh = made.open_round(opening(3))
        assert fresh.key.public_key != yesterday.key.public_key
        again = made.open_round(opening(4))
        assert again.key.public_key not in (today.key.public_key, fresh.key.public_key)
        assert made.open_round(opening(4)) == again
        with pytest.raises(IdentityError, match=r"two logs|cut"):  # and who has seen the head of today sees it
            log.read(reading.whole_log(made.books, today.head.size), identity(made), today.head)
    with reopened(folder, clock) as made:
        assert epochs(made) == 1, "it begins once"


def test_a_database_that_is_put_back_while_the_unmasker_runs_is_noticed(folder, clock, history):
    _, today, _ = history
    with reopened(folder, clock) as made:
        assert made.open_round(opening(4)).key == today.key
        made.books._database.close()
        restore(folder)
        assert made.open_round(opening(4)).key != today.key
        assert epochs(made) == 1


@pytest.mark.parametrize("killed", ["between transactions", "in a transaction"])
def test_a_database_that_is_put_back_beside_the_left_overs_of_a_kill_begins_a_new_epoch(folder, clock, killed):
    """SQLite adds a log to the file that lies beside it, and undoes a journal in it, whichever file that is."""
    path = folder.path / "unmasker.sqlite"
    with closing(Unmasker(Books.make(folder, None, clock), RULES)) as made:
        made.open_round(opening(3))
        with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(folder.path / "copy")) as copy:
            live.backup(copy)
        today = made.open_round(opening(4))
        revoke(made, enrolled(made, Device()))
        with made.books._database.writing() as connection:
            if killed == "in a transaction":
                _spill(connection)
            left = {
                other: other.read_bytes() for other in folder.path.glob("unmasker.sqlite-*") if "shm" not in other.name
            }
            connection.rollback()
    assert bool(left) == (killed == "in a transaction")
    shutil.copy(folder.path / "copy", path)
    for name, data in left.items():
        name.write_bytes(data)
    with reopened(folder, clock) as made:
        assert epochs(made) == 1
        assert made.open_round(opening(4)).key != today.key
    with reopened(folder, clock) as made:
        assert epochs(made) == 1


def test_a_kill_in_a_transaction_is_not_a_restoration(folder, clock):
    with closing(Unmasker(Books.make(folder, None, clock), RULES)) as made:
        today = made.open_round(opening(3))
        with made.books._database.writing() as connection:
            _spill(connection)
            killed = {name: name.read_bytes() for name in folder.path.glob("unmasker.sqlite*")}
            connection.rollback()
    for name, data in killed.items():
        name.write_bytes(data)
    assert len(killed) == 2
    with reopened(folder, clock) as made:
        assert made.open_round(opening(3)).key == today.key
        assert epochs(made) == 0


def _spill(connection):
    """Touches every page of the meta table and the log, and has SQLite write its journal and some pages."""
    connection.execute(update(meta).values(commits=meta.c.commits + 1))
    connection.execute(insert(log_entry), {"number": 98, "data": b"", "hash": b"", "signature": b""})
    connection.exec_driver_sql("PRAGMA cache_size = 1")
    rows = [{"number": number, "data": bytes(4000), "hash": b"", "signature": b""} for number in range(99, 199)]
    connection.execute(insert(log_entry), rows)


@pytest.mark.parametrize("lost", ["the end", "everything", "an entry that was another"])
def test_a_database_whose_log_is_not_the_witness_s_begins_a_new_epoch(either, lost):
    """Its transactions are as many as before: pages of two copies of a database can be mixed."""
    before = either.open_round(opening(1))
    changed = {"the end": log_entry.c.number == before.entry, "everything": True}
    with either.books._database.writing() as connection:
        connection.execute(delete(policy))
        if lost in changed:
            connection.execute(delete(log_entry).where(changed[lost]))
        else:
            connection.execute(update(log_entry).where(changed["the end"]).values(hash=bytes(32)))
    assert either.open_round(opening(1)).key != before.key
    with either.books.reading() as connection:
        entries = list(map(LogEntry.FromString, public_log.entries(connection, 0, before.head.size + 9)))
    assert sum(entry.HasField("epoch") for entry in entries) == 1


@pytest.mark.parametrize("name", ["epoch", "witness"])
@pytest.mark.parametrize("how", ["missing", "damaged", "empty"])
def test_a_mark_that_is_missing_or_damaged_begins_a_new_epoch(folder, clock, history, name, how):
    _, today, _ = history
    path = folder.path / name
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-2] + b"x\n" if how == "damaged" else b"")
    with reopened(folder, clock) as made:
        assert epochs(made) == 1
        assert made.open_round(opening(4)).key != today.key
    with reopened(folder, clock) as made:
        assert epochs(made) == 1


def test_a_copy_of_the_whole_folder_begins_a_new_epoch(folder, clock, history, tmp_path):
    _, today, _ = history
    shutil.copytree(folder.path, tmp_path / "copied")
    copied = StateFolder(tmp_path / "copied")
    with reopened(copied, clock) as made:
        assert epochs(made) == 1
        assert made.open_round(opening(4)).key != today.key
    with reopened(folder, clock) as made:
        assert made.open_round(opening(4)).key == today.key, "where it was copied from nothing has changed"


def test_a_restoration_that_leaves_no_mark_is_proved_by_the_coordinator(folder, clock, history, tmp_path):
    """An image of a whole disk: database, witness and epoch are all of yesterday."""
    _, today, _ = history
    restore(folder)
    with closing(Books(folder, None, clock)) as books, books.reading() as connection:
        head = public_log.head(connection, books.keys)
        Witness(connection.execute(select(meta.c.commits)).scalar_one(), head.size, head.hash).write(folder)
    with reopened(folder, clock) as made:
        assert epochs(made) == 0, "nothing on this disk says it"
        before = made.open_round(opening(3))
        assert made.open_round(opening(3, seen=before.head)).key == before.key
        fresh = made.open_round(opening(3, seen=today.head))
        assert fresh.key != before.key
        assert epochs(made) == 1
        with pytest.raises(InvalidRequestError, match="not signed"):  # nobody else can make it forget its keys
            made.open_round(opening(3, seen=LogHead(size=99, hash=bytes(32), signature=bytes(64))))
        assert made.open_round(opening(3)).key == fresh.key
        for _ in range(3):
            assert made.open_round(opening(3, seen=today.head)).key == fresh.key, "it is proved once"
        assert epochs(made) == 1
        assert [entry.epoch.lost for entry in audited(made).entries if entry.HasField("epoch")] == [today.head]


def test_a_closed_round_stays_closed_in_a_new_epoch(unmasker):
    request = opening(3)
    unmasker.open_round(request)
    unmasker.close_round(request.task_id, 3)
    with unmasker.books.writing() as page:
        unmasker.books.begin_epoch(page)
    with pytest.raises(Exception, match="closed"):
        unmasker.open_round(request)


def test_a_copy_of_the_database_opens_nothing(folder, clock, history):
    """Keys of rounds are sealed by a key that is in the file `epoch` only."""
    with reopened(folder, clock) as made:
        assert private(made, opening(4))
        stolen = epoch.Epoch(epoch.Epoch.read(folder).id, bytes(32))
        with made.books.writing() as page:
            row = page.connection.execute(select(task_round.c.key, task_round.c.secret)).one()
        with pytest.raises(BooksError) as raised:
            stolen.unseal(row.secret, row.key)
        assert isinstance(raised.value.__cause__, InvalidTag)


def test_revocations_survive_a_new_epoch(unmasker):
    certificate = enrolled(unmasker, Device())
    revoke(unmasker, certificate)
    with unmasker.books.writing() as page:
        unmasker.books.begin_epoch(page)
    assert verdicts(unmasker, certificate) == [False]


def test_books_of_another_unmasker_are_refused(folder, clock, unmasker, tmp_path):
    other = StateFolder(tmp_path / "other")
    Books.make(other, None, clock).close()
    with pytest.raises(BooksError, match="another unmasker"):
        Books(other, f"sqlite:///{folder.path / 'unmasker.sqlite'}", clock)
    with pytest.raises(BooksError, match="of its own"):
        Books.make(StateFolder(tmp_path / "third"), f"sqlite:///{folder.path / 'unmasker.sqlite'}", clock)
    assert not (tmp_path / "third").exists()
