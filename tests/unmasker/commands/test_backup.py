"""A copy of the database: whole while the unmasker serves, over no other file, and of before when it is put back."""

import shutil
from contextlib import closing

import pytest

from tests.unmasker.conftest import RULES
from tests.unmasker.device import Device, opening
from tests.unmasker.engine.test_enrolment import enrolled, invite
from tests.unmasker.engine.test_rounds import audited
from tests.unmasker.served import Child, command
from unmasker import Books, StateFolder, Unmasker
from unmasker.cli import main
from unmasker.store.tables import invitation


def backup(folder, to):
    return main(["backup", "--state", str(folder.path), "--to", str(to)])


def restored(folder, clock, copy):
    shutil.copy(copy, folder.path / "unmasker.sqlite")
    return closing(Unmasker(Books(folder, None, clock), RULES))


def test_a_backup_has_all_that_was_answered_and_begins_a_new_epoch_when_it_is_put_back(
    unmasker, folder, clock, tmp_path
):
    code, opened = invite(unmasker), unmasker.open_round(opening(1))
    with unmasker.books.reading() as connection:
        connection.execute(invitation.select()).all()
        assert backup(folder, tmp_path / "copy") == 0, "a reader does not keep it from it"
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
    unmasker.open_round(opening(2))
    unmasker.close()
    with restored(folder, clock, tmp_path / "copy") as made:
        entries = audited(made).entries
        assert entries[opened.entry].round.key == opened.key
        assert sum(entry.HasField("epoch") for entry in entries) == 1
        assert enrolled(made, Device(), 2, code)


def test_a_backup_of_an_unmasker_that_serves_has_the_invitations_that_were_printed(tmp_path, capsys):
    folder, copies = StateFolder(tmp_path / "state"), [tmp_path / "first", tmp_path / "second"]
    Books.make(folder).close()
    child = Child(folder.path, "--accept", "invitation")
    try:
        child.start()
        for copy in copies:
            assert len(command("invite", "--state", folder.path, "--count", 5).stdout.split()) == 5
            assert backup(folder, copy) == 0
    finally:
        child.end()
    for number, copy in enumerate(copies, 1):
        with closing(Books(folder, f"sqlite:///{copy}")) as books, books.reading() as connection:
            assert len(connection.execute(invitation.select()).all()) == 5 * number


@pytest.mark.parametrize("content", [b"", b"mine"])
def test_a_backup_is_written_over_no_file(unmasker, folder, tmp_path, capsys, content):
    (tmp_path / "copy").write_bytes(content)
    assert backup(folder, tmp_path / "copy") == 1
    assert "not there yet" in capsys.readouterr().err
    assert (tmp_path / "copy").read_bytes() == content
    assert backup(folder, tmp_path / "nowhere" / "copy") == 1


def test_a_backup_that_fails_leaves_nothing(unmasker, folder, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    before = set(tmp_path.rglob("*"))
    monkeypatch.setattr("fedau2.files.Steps.sync", full)
    assert backup(folder, tmp_path / "copy") == 1
    assert set(tmp_path.rglob("*")) == before


def test_postgresql_has_a_command_of_its_own(postgres_url, tmp_path, capsys):
    folder = StateFolder(tmp_path / "state")
    Books.make(folder, postgres_url).close()
    to = tmp_path / "copy"
    assert main(["backup", "--state", str(folder.path), "--database", postgres_url, "--to", str(to)]) == 1
    assert "pg_dump" in capsys.readouterr().err
    assert not to.exists()
