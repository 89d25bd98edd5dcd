"""The tables of a state folder's database, version by version. SQLite's user_version holds a file's version."""

import secrets
from sqlite3 import Connection

_STEPS = (
    (
        "CREATE TABLE client (one INTEGER PRIMARY KEY CHECK (one = 1), key BLOB NOT NULL)",
        # time: microseconds since 1970, UTC
        "CREATE TABLE interactions (item TEXT NOT NULL, time INTEGER NOT NULL)",
        "CREATE INDEX interactions_by_item ON interactions (item)",
        "CREATE TABLE attributes (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE private (task_id TEXT PRIMARY KEY, round INTEGER NOT NULL, state BLOB NOT NULL)",
        "CREATE TABLE staged (one INTEGER PRIMARY KEY CHECK (one = 1), assignment_id BLOB NOT NULL, "
        "task_id TEXT NOT NULL, round INTEGER NOT NULL, contribution BLOB NOT NULL, state BLOB NOT NULL)",
        "CREATE TABLE model (one INTEGER PRIMARY KEY CHECK (one = 1), "
        "task_id TEXT NOT NULL, round INTEGER NOT NULL, manifest BLOB NOT NULL, checkpoint BLOB NOT NULL)",
    ),
    (
        "CREATE INDEX interactions_by_time ON interactions (time)",
        # attributes: names of the attributes that the contribution was trained against, as JSON
        "ALTER TABLE staged ADD COLUMN attributes TEXT NOT NULL DEFAULT '[]'",
        "CREATE TABLE contributed (task_id TEXT PRIMARY KEY, round INTEGER NOT NULL)",
        "INSERT INTO contributed SELECT task_id, round FROM private",
        "CREATE TABLE departures (number INTEGER PRIMARY KEY, task_id TEXT NOT NULL, round INTEGER NOT NULL, "
        "time INTEGER NOT NULL, size INTEGER NOT NULL, attributes TEXT NOT NULL, outcome TEXT NOT NULL)",
    ),
    (
        # manifest: its SHA-256. catalogue: compressed by zlib, NULL if it is not needed
        "CREATE TABLE tasks (task_id TEXT PRIMARY KEY, manifest BLOB NOT NULL, recommender TEXT NOT NULL, "
        "catalogue BLOB)",
    ),
    (
        # kind, weight, value: see `client_sdk.interactions.Kept`; older rows are views
        "ALTER TABLE interactions ADD COLUMN kind TEXT NOT NULL DEFAULT 'view'",
        "ALTER TABLE interactions ADD COLUMN weight REAL NOT NULL DEFAULT 1",
        "ALTER TABLE interactions ADD COLUMN value REAL",
        "CREATE TABLE excluded (item TEXT PRIMARY KEY)",
    ),
    # instance: a mark of the folder in which the database was opened last
    ("ALTER TABLE client ADD COLUMN instance TEXT",),
    (
        # attributes: names, as JSON; checkpoint: SHA-256, empty before the first personalisation was completed
        "CREATE TABLE personalised (task_id TEXT PRIMARY KEY, steps INTEGER NOT NULL, state BLOB, "
        "attributes TEXT NOT NULL, checkpoint BLOB NOT NULL, recorded INTEGER NOT NULL)",
    ),
    (
        # recorded: number of interactions that were ever recorded, also those that were dropped or forgotten since
        "ALTER TABLE client ADD COLUMN recorded INTEGER NOT NULL DEFAULT 0",
        "UPDATE client SET recorded = (SELECT count(*) FROM interactions)",
    ),
    # unmasker: its identity key. key: this device's secret for it. certificate: NULL before the device is enrolled
    ("CREATE TABLE identities (unmasker BLOB PRIMARY KEY, key BLOB NOT NULL, certificate BLOB)",),
    (
        # masked: 1 if the contribution is for a secure sum
        "ALTER TABLE staged ADD COLUMN masked INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE departures ADD COLUMN masked INTEGER NOT NULL DEFAULT 0",
        # count: of masked contributions that were staged, without those that were never sent
        "CREATE TABLE participations (task_id TEXT PRIMARY KEY, count INTEGER NOT NULL)",
    ),
    (
        # noise: noise multiplier of the task's sums; 0: none, or an older SDK noted none
        "ALTER TABLE staged ADD COLUMN noise REAL NOT NULL DEFAULT 0",
        # count: as in participations, over all tasks. No row is ever removed
        "CREATE TABLE masked_contributions (noise REAL PRIMARY KEY, count INTEGER NOT NULL)",
        "INSERT INTO masked_contributions SELECT 0, sum(count) FROM participations HAVING sum(count) > 0",
    ),
    (
        # publisher: its key. least: the least sequence number of its bundles that is accepted
        "CREATE TABLE releases (population TEXT NOT NULL, publisher BLOB NOT NULL, least INTEGER NOT NULL, "
        "PRIMARY KEY (population, publisher))",
    ),
)
"""The statements that upgrade each version to the next. Released ones are never changed."""

VERSION = len(_STEPS)
"""The version that this SDK reads and writes."""

TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table'"
"""Gives the names of a database's tables."""

KNOWN_BY = {"client", "interactions", "staged"}
"""Tables that every version has, and by which a client's database is known."""


def upgrade(connection: Connection, version: int) -> None:
    """Upgrades a database to the newest version, within the caller's transaction. A new database has version 0."""
    for step in _STEPS[version:]:
        for statement in step:
            connection.execute(statement)
    if version == 0:
        connection.execute("INSERT INTO client (one, key) VALUES (1, ?)", (secrets.token_bytes(16),))
    connection.execute(f"PRAGMA user_version = {VERSION}")
