"""An unmasker that was restored from a copy has no key of before, however it was restored."""

import shutil
from contextlib import closing

import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import select

from fedau2.v1.unmasker_pb2 import LogHead
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity import log
from tests.unmasker.conftest import RULES
from tests.unmasker.device import Device, opening
from tests.unmasker.engine.test_enrolment import enrolled, revoke, verdicts
from tests.unmasker.engine.test_rounds import audited, identity, private
from unmasker import Books, StateFolder, Unmasker
from unmasker.engine import reading
from unmasker.errors import BooksError, InvalidRequestError
from unmasker.store import epoch
from unmasker.store.tables import meta, task_round


def reopened(folder, clock):
    return closing(Unmasker(Books(folder, None, clock), RULES))


@pytest.fixture
def history(folder, clock):
    """A folder with a database of yesterday beside that of today, and what was said in between."""
    with closing(Unmasker(Books.make(folder, None, clock), RULES)) as made:
        yesterday = made.open_round(opening(3))
        made.books.forget()
        shutil.copy(folder.path / "unmasker.sqlite", folder.path / "copy")
        today = made.open_round(opening(4))
        lost = enrolled(made, Device())
        made.books.forget()
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
        epoch.note(folder, connection.execute(select(meta.c.commits)).scalar_one())
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
