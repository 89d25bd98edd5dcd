"""State folders that are made of backups, and backups from which none is made."""

import json
import shutil
import sqlite3
from contextlib import closing

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.cli import main
from coordinator.store.disk import REAL
from coordinator.store.inventory import NAME, Inventory
from coordinator.store.page_sums import PageSums
from fedau2.v1 import admin_pb2
from tests.coordinator import conftest as tools
from tests.coordinator.commands.backed_up import made, restore, state
from tests.durability.audit import books

__all__ = ["made", "state"]

_SLOW = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_restored_folder_has_the_operators_log_and_begins_its_rounds_anew(made, tmp_path, capsys):
    assert restore(made, tmp_path / "restored") == 0
    assert "2 contributions to them are given up" in capsys.readouterr().out
    assert (tmp_path / "restored" / "operations.log").read_bytes() == (made / "operations.log").read_bytes()
    assert list((tmp_path / "restored" / "log").iterdir()) == []
    assert main(["doctor", "--state", str(tmp_path / "restored")]) == 0
    with books(tmp_path / "restored") as ledger:
        expired = admin_pb2.ASSIGNMENT_STATE_EXPIRED
        assert ledger.rows("SELECT count(*) FROM assignment WHERE round = 1 AND state = ?", expired) == [(2,)]


@_SLOW
@given(st.data())
def test_every_byte_that_is_changed_is_found(made, data):
    path = data.draw(
        st.sampled_from(sorted(path for path in made.rglob("*") if path.is_file() and path.stat().st_size))
    )
    before = path.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    changed = bytes([before[at] ^ data.draw(st.integers(1, 255))])
    instead = data.draw(st.sampled_from([changed + before[at + 1 :], before[at + 1 :], b"", changed + before[at:]]))
    try:
        path.write_bytes(before[:at] + instead)
        expect_refused(made)
    finally:
        path.write_bytes(before)


def expect_refused(made):
    """A backup cannot be restored, and nothing is left of the attempt."""
    beside = set(made.parent.iterdir())
    assert restore(made, made.parent / "restored") == 1
    assert set(made.parent.iterdir()) == beside


def test_every_file_that_is_missing_is_found(made, tmp_path, capsys):
    shutil.copytree(made, tmp_path / "copy")
    for path in sorted(path for path in (tmp_path / "copy").rglob("*") if path.is_file()):
        path.rename(tmp_path / "away")
        expect_refused(tmp_path / "copy")
        assert path.name in capsys.readouterr().err
        (tmp_path / "away").rename(path)
    assert restore(tmp_path / "copy", tmp_path / "restored") == 0


def reseal(backup_folder):
    """Makes the sums of a backup fit what is in it."""
    with closing(sqlite3.connect(backup_folder / "ledger.sqlite")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    PageSums(backup_folder / "ledger.sqlite", REAL).accept()
    inventory = Inventory.read(backup_folder)
    names = [name for name in inventory.files if (backup_folder / name).exists()]
    files = {name: tools.blobs.sha256((backup_folder / name).read_bytes()).hex() for name in names}
    Inventory(inventory.made, inventory.commits, files).write(backup_folder)


def test_a_backup_of_a_newer_version_is_refused(made, tmp_path, capsys):
    shutil.copytree(made, tmp_path / "ledger")
    with closing(sqlite3.connect(tmp_path / "ledger" / "ledger.sqlite")) as database, database:
        database.execute("UPDATE meta SET version = 99")
    reseal(tmp_path / "ledger")
    assert restore(tmp_path / "ledger", tmp_path / "restored") == 1
    assert "schema version 99, made by a newer fedau2-coordinator" in capsys.readouterr().err

    shutil.copytree(made, tmp_path / "format")
    values = json.loads((made / NAME).read_bytes().partition(b"\n")[0])
    line = json.dumps({**values, "format": 2, "more": "unknown"}).encode() + b"\n"
    (tmp_path / "format" / NAME).write_bytes(line + tools.blobs.sha256(line).hex().encode() + b"\n")
    assert restore(tmp_path / "format", tmp_path / "restored") == 1
    assert "format 2" in capsys.readouterr().err
    assert not (tmp_path / "restored").exists()


def test_a_backup_of_an_older_version_is_upgraded(made, tmp_path):
    shutil.copytree(made, tmp_path / "older")
    with closing(sqlite3.connect(tmp_path / "older" / "ledger.sqlite")) as database, database:
        make_version_3(database)
    reseal(tmp_path / "older")
    assert restore(tmp_path / "older", tmp_path / "restored") == 0
    assert main(["doctor", "--state", str(tmp_path / "restored")]) == 0


def make_version_3(database):
    """Takes back what the migrations to versions 4 to 6 added, of which nothing was used."""
    database.execute("UPDATE meta SET version = 3")
    database.execute(
        "UPDATE task SET previous_checkpoint = (SELECT checkpoint FROM kept_model),"
        " previous_server_state = (SELECT server_state FROM kept_model)"
    )
    for table in ("kept_model", "rollback_history", "opening", "seen_log", "admission_key", "admission_issue"):
        database.execute(f"DROP TABLE {table}")
    for table, column in (
        ("task", "norms"),
        ("round", "norms"),
        ("task", "encoding"),
        ("task", "encoded"),
        ("assignment", "admission"),
    ):
        database.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
