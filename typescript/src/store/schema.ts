/** The tables of a state folder's database, version by version. SQLite's user_version holds a file's version. */
import { randomBytes } from "node:crypto";
import type Database from "better-sqlite3";
import { StoreError, StoreLostError, StoreVersionError } from "../errors.js";

/** The statements that upgrade each version to the next. Released ones are never changed. */
export const STEPS = [
  `CREATE TABLE client (one INTEGER PRIMARY KEY CHECK (one = 1), key BLOB NOT NULL);
  CREATE TABLE interactions (item TEXT NOT NULL, time INTEGER NOT NULL);
  CREATE INDEX interactions_by_item ON interactions (item);
  CREATE INDEX interactions_by_time ON interactions (time);
  CREATE TABLE attributes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
  CREATE TABLE private (task_id TEXT PRIMARY KEY, state BLOB NOT NULL);
  CREATE TABLE contributed (task_id TEXT PRIMARY KEY, round INTEGER NOT NULL);
  CREATE TABLE staged (one INTEGER PRIMARY KEY CHECK (one = 1), assignment_id BLOB NOT NULL, task_id TEXT NOT NULL,
    round INTEGER NOT NULL, contribution BLOB NOT NULL, state BLOB NOT NULL, attributes TEXT NOT NULL);
  CREATE TABLE model (one INTEGER PRIMARY KEY CHECK (one = 1), task_id TEXT NOT NULL, round INTEGER NOT NULL,
    manifest BLOB NOT NULL, checkpoint BLOB NOT NULL, time INTEGER NOT NULL);`,
  `ALTER TABLE interactions ADD COLUMN kind TEXT NOT NULL DEFAULT 'view';
  ALTER TABLE interactions ADD COLUMN weight REAL NOT NULL DEFAULT 1;
  ALTER TABLE interactions ADD COLUMN value REAL;
  CREATE TABLE tasks (task_id TEXT PRIMARY KEY, manifest BLOB NOT NULL, recommender TEXT NOT NULL, catalogue BLOB);
  CREATE TABLE personal (task_id TEXT PRIMARY KEY, steps INTEGER NOT NULL, state BLOB, checkpoint BLOB,
    recorded INTEGER NOT NULL);`,
  `ALTER TABLE client ADD COLUMN instance TEXT;
  ALTER TABLE client ADD COLUMN recorded INTEGER NOT NULL DEFAULT 0;
  UPDATE client SET recorded = (SELECT count(*) FROM interactions);`,
  `CREATE TABLE releases (population TEXT NOT NULL, publisher TEXT NOT NULL, least INTEGER NOT NULL,
    PRIMARY KEY (population, publisher));`,
];
/** Tables that every version has. */
const KNOWN_BY = ["client", "interactions", "attributes", "private", "contributed", "staged", "model"];

/**
 * Returns unless a database is another program's. It changes nothing.
 *
 * @param fresh it may be without tables.
 * @throws StoreLostError it has lost its tables.
 * @throws StoreError it is another program's.
 */
export function expectOwn(database: Database.Database, fresh: boolean): void {
  const tables = new Set(database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all());
  if (tables.size === 0 && !fresh) {
    throw new StoreLostError(
      `${database.name} has lost its tables, and the rest of the client's state is there: put the whole folder back from ` +
        "a copy. To start afresh as a new user, move the folder away",
    );
  }
  if (tables.size > 0 && !KNOWN_BY.every((name) => tables.has(name))) {
    throw new StoreError(`${database.name} is another program's database: give the client a folder of its own`);
  }
}

/**
 * Upgrades a database to the newest version, within a transaction. A new database has version 0.
 *
 * @throws StoreVersionError a newer SDK wrote it.
 */
export function upgrade(database: Database.Database): void {
  const version = Number(database.pragma("user_version", { simple: true }));
  if (version > STEPS.length) throw new StoreVersionError("the state was written by a newer SDK: update the app");
  for (const step of STEPS.slice(version)) database.exec(step);
  if (version === 0) database.prepare("INSERT INTO client (one, key) VALUES (1, ?)").run(randomBytes(16));
  database.pragma(`user_version = ${STEPS.length}`);
}
