"""The books: transactions follow one another whoever makes them, and other databases are refused."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import sqlalchemy as sa

from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_INVITATION, LogEntry
from tests.unmasker.conftest import RULES
from tests.unmasker.device import Device, opening
from tests.unmasker.engine.test_enrolment import invite
from tests.unmasker.engine.test_rounds import audited
from unmasker import Books, StateFolder, Unmasker
from unmasker.errors import BooksError, FolderError, TakenError
from unmasker.store.tables import VERSION, meta

_AT_ONCE = 4


def test_who_asks_at_the_same_time_gets_one_answer(either, folder, clock, database_url):
    code, identity = invite(either), either.books.keys.public.identity

    def ask(number):
        with closing(Unmasker(Books(folder, database_url, clock), RULES)) as mine:
            keys = [mine.open_round(opening(round_number, task=b"%d" % round_number)).key for round_number in range(5)]
            try:
                mine.enrol(Device().request(identity, EVIDENCE_CLASS_INVITATION, code))
            except TakenError:
                return keys, False
            return keys, True

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answers = list(threads.map(ask, range(_AT_ONCE)))
    assert all(keys == answers[0][0] for keys, _ in answers)
    assert sorted(enrolled for _, enrolled in answers) == [False] * (_AT_ONCE - 1) + [True]
    assert not any(entry.HasField("epoch") for entry in audited(either).entries)


def test_a_database_with_fewer_transactions_than_the_witness_counts_is_of_before(either):
    before = either.open_round(opening(1)).key
    with either.books._database.writing() as connection:
        connection.execute(sa.update(meta).values(commits=meta.c.commits - 1))
    assert either.open_round(opening(1)).key != before
    assert sum(entry.HasField("epoch") for entry in audited(either).entries) == 1


def test_what_a_transaction_did_before_an_error_is_undone(either):
    def fails():
        with either.books.writing() as page:
            page.log(LogEntry())
            raise TakenError("undone")

    before = audited(either).head
    with pytest.raises(TakenError):
        fails()
    assert audited(either).head == before


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "nonsense", "sqlite:////nowhere/x.db"]
)
def test_databases_that_cannot_be_used_are_refused(folder, clock, url):
    with pytest.raises(BooksError):
        Books.make(folder, url, clock)
    assert not folder.path.exists()


def test_a_password_is_in_no_error(folder, clock):
    with pytest.raises(BooksError) as raised:
        Books.make(folder, "mysql://operator:secret@host/y", clock)
    assert "secret" not in str(raised.value)


def test_books_of_a_newer_version_and_empty_ones_are_refused(unmasker, folder, clock, tmp_path):
    with pytest.raises(BooksError, match="no unmasker's tables"):
        Books(folder, f"sqlite:///{tmp_path / 'empty.sqlite'}", clock)
    with unmasker.books._database.writing() as connection:
        connection.execute(sa.update(meta).values(version=VERSION + 1))
    with pytest.raises(BooksError, match="newer"):
        Books(folder, None, clock)


@pytest.mark.parametrize("name", ["identity.pem", "authority.pem", "subjects.key"])
@pytest.mark.parametrize("content", [None, b"", b"damaged"])
def test_a_folder_without_one_of_its_keys_is_refused(unmasker, folder, clock, name, content):
    (folder.path / name).unlink()
    if content is not None:
        (folder.path / name).write_bytes(content)
    with pytest.raises(FolderError):
        Books(folder, None, clock)


def test_a_folder_that_cannot_be_made_is_said(tmp_path, clock):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FolderError):
            Books.make(StateFolder(path), None, clock)
