"""Ledgers of older and newer versions."""

from contextlib import closing

import pytest
import sqlalchemy as sa

from coordinator.errors import LedgerError
from coordinator.store import migrations
from coordinator.store.ledger import Ledger
from coordinator.store.task_rows import KeptModel

VERSION_1 = """
CREATE TABLE task (task_id VARCHAR(32) NOT NULL, population VARCHAR(128) NOT NULL, state INTEGER NOT NULL,
  created FLOAT NOT NULL, rounds BIGINT NOT NULL, round BIGINT NOT NULL, manifest {blob} NOT NULL,
  closing {blob} NOT NULL, checkpoint {blob} NOT NULL, server_state {blob} NOT NULL,
  previous_checkpoint {blob} NOT NULL, previous_server_state {blob} NOT NULL, PRIMARY KEY (task_id));
CREATE UNIQUE INDEX one_running_task ON task (population) WHERE state = 1;
CREATE TABLE round (task_id VARCHAR(32) NOT NULL, round BIGINT NOT NULL, attempt INTEGER NOT NULL,
  state INTEGER NOT NULL, opened FLOAT NOT NULL, checkpoint {blob}, server_state {blob},
  PRIMARY KEY (task_id, round, attempt), FOREIGN KEY(task_id) REFERENCES task (task_id));
CREATE TABLE round_history (id {serial} NOT NULL, task_id VARCHAR(32) NOT NULL, round BIGINT NOT NULL,
  attempt INTEGER NOT NULL, old INTEGER NOT NULL, new INTEGER NOT NULL, at FLOAT NOT NULL, PRIMARY KEY (id),
  FOREIGN KEY(task_id, round, attempt) REFERENCES round (task_id, round, attempt));
CREATE TABLE assignment (assignment_id {blob} NOT NULL, task_id VARCHAR(32) NOT NULL, round BIGINT NOT NULL,
  attempt INTEGER NOT NULL, state INTEGER NOT NULL, deadline FLOAT NOT NULL, sha256 {blob}, segment VARCHAR(128),
  "offset" BIGINT, length BIGINT, reason INTEGER, PRIMARY KEY (assignment_id));
CREATE INDEX assignments_of_a_round ON assignment (task_id, round);
CREATE TABLE assignment_history (id {serial} NOT NULL, assignment_id {blob} NOT NULL, old INTEGER NOT NULL,
  new INTEGER NOT NULL, at FLOAT NOT NULL, PRIMARY KEY (id),
  FOREIGN KEY(assignment_id) REFERENCES assignment (assignment_id));
INSERT INTO task VALUES
  ('old', 'movies', 1, 1.0, 3, 0, {hash}, {empty}, {hash}, {hash}, {hash}, {hash});
INSERT INTO round VALUES ('old', 0, 0, 1, 1.0, NULL, NULL)
"""
"""A ledger as the first version made it, with a task."""

HASH = bytes(range(32))
TYPES = {
    "sqlite": {"blob": "BLOB", "serial": "INTEGER", "hash": f"x'{HASH.hex()}'", "empty": "x''"},
    "postgresql": {"blob": "BYTEA", "serial": "BIGSERIAL", "hash": rf"'\x{HASH.hex()}'::bytea", "empty": "''::bytea"},
}


@pytest.fixture
def engine(database_url):
    engine = sa.create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


@pytest.fixture
def old_ledger(engine, database_url):
    with engine.begin() as connection:
        for statement in VERSION_1.format(**TYPES[engine.dialect.name]).split(";"):
            connection.exec_driver_sql(statement)
    return database_url


def index(found):
    where = [str(value) for option, value in found["dialect_options"].items() if option.endswith("_where")]
    return found["name"], found["column_names"], bool(found["unique"]), where


def schema(engine):
    inspector = sa.inspect(engine)
    return {
        name: {
            "columns": {each["name"]: (str(each["type"]), each["nullable"]) for each in inspector.get_columns(name)},
            "key": inspector.get_pk_constraint(name)["constrained_columns"],
            "references": sorted(each["constrained_columns"] for each in inspector.get_foreign_keys(name)),
            "indexes": sorted(map(index, inspector.get_indexes(name))),
        }
        for name in inspector.get_table_names()
    }


def prepared(url, folder="folder"):
    ledger = Ledger(url)
    ledger.prepare(folder)
    return ledger


def test_an_old_ledger_becomes_what_a_new_one_is(old_ledger, engine):
    """Fails when `tables` is changed without a migration."""
    ledger = prepared(old_ledger)
    assert (ledger.version, ledger.folder) == (migrations.VERSION, "folder")
    ledger.close()
    migrated = schema(engine)
    with engine.begin() as connection:
        for name in migrated:
            connection.exec_driver_sql(f"DROP TABLE {name}{' CASCADE' * (engine.dialect.name == 'postgresql')}")
    prepared(old_ledger).close()
    assert schema(engine) == migrated


def test_an_old_ledgers_tasks_are_there(old_ledger):
    ledger = Ledger(old_ledger)
    assert (ledger.version, ledger.folder, ledger.manifests()) == (1, None, [HASH])
    ledger.prepare("folder")
    (row,) = ledger.tasks()
    assert (row.task_id, row.population, row.rounds, row.manifest) == ("old", "movies", 3, HASH)
    assert ledger.open_round("old", 0).attempt == 0
    ledger.close()
    again = Ledger(old_ledger)
    assert (again.version, again.folder) == (migrations.VERSION, "folder")
    again.close()


def test_the_model_before_the_newest_is_kept(old_ledger, engine):
    with engine.begin() as connection:
        other = TYPES[engine.dialect.name]["hash"].replace(HASH.hex(), HASH[::-1].hex())
        connection.exec_driver_sql(f"UPDATE task SET round = 2, previous_checkpoint = {other}")
    with closing(prepared(old_ledger)) as ledger:
        (row,) = ledger.tasks()
        assert row.kept == (KeptModel(1, HASH[::-1], HASH),)


def test_a_column_is_added_to_the_rows_that_are_there(old_ledger, engine):
    colour = sa.Column("colour", sa.String(8))
    table = sa.Table("task", sa.MetaData(), sa.Column("task_id", sa.String(32)), colour)
    with engine.begin() as connection:
        migrations.add_column(colour, "red")(connection)
        assert connection.execute(sa.select(table)).all() == [("old", "red")]


def test_a_migration_that_fails_changes_nothing(old_ledger, engine, monkeypatch):
    def fail(connection):
        connection.execute(sa.text("SELECT * FROM nothing"))

    before = schema(engine)
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, fail))
        ledger = Ledger(old_ledger)
        with pytest.raises(LedgerError, match="nothing"):
            ledger.prepare("folder")
        ledger.close()
    assert schema(engine) == before
    ledger = prepared(old_ledger)
    assert [row.task_id for row in ledger.tasks()] == ["old"]
    ledger.close()


def test_a_newer_ledger_is_refused(database_url, engine):
    prepared(database_url).close()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE meta SET version = version + 1"))
    before = schema(engine)
    with pytest.raises(LedgerError, match=f"version {migrations.VERSION + 1}.*newer.*update it"):
        Ledger(database_url)
    assert schema(engine) == before


@pytest.mark.parametrize("foreign", ["meta", "task"])
def test_tables_of_something_else_are_left_alone(database_url, engine, foreign):
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {foreign} (name VARCHAR(10))")
    before = schema(engine)
    with pytest.raises(LedgerError, match="cannot be used"), closing(Ledger(database_url)) as ledger:
        ledger.manifests()
    assert schema(engine) == before


def test_a_ledger_that_names_no_folder_is_damaged(database_url, engine):
    prepared(database_url).close()
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM meta"))
    with pytest.raises(LedgerError, match="restore it"):
        Ledger(database_url)
