import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import Database from "better-sqlite3";
import type { Resource } from "../src/gen/fedau2/v1/task_pb.js";
import { STEPS } from "../src/store/schema.js";
import { SqliteStore } from "../src/store/sqlite.js";
import { nameOf } from "../src/wire/blobs.js";
import { type Home, storeTests } from "./stores.js";

/** A folder with the state of a client of Node. */
class Folder implements Home {
  readonly path = mkdtempSync(join(tmpdir(), "fedau2-"));

  async open(most: number): Promise<SqliteStore> {
    return new SqliteStore(this.path, most);
  }

  async blobs(): Promise<string[]> {
    return readdirSync(join(this.path, "blobs"));
  }

  async damage(address: Resource): Promise<void> {
    const path = join(this.path, "blobs", nameOf(address));
    writeFileSync(path, readFileSync(path).fill(9, 0, 1));
  }

  async makeNewer(): Promise<void> {
    const database = new Database(join(this.path, "state.db"));
    database.pragma("user_version = 99");
    database.close();
  }

  async remove(): Promise<void> {
    rmSync(this.path, { recursive: true });
  }

  /** Names of the database's files that hold a text. */
  traces(text: string): string[] {
    const names = readdirSync(this.path).filter((name) => name.startsWith("state.db"));
    return names.filter((name) => readFileSync(join(this.path, name)).includes(text));
  }
}

describe("SQLite", () => storeTests(async () => new Folder()));

const SECRET = "Llanfairpwllgwyngyll";
let folder: Folder;
let store: SqliteStore;

beforeEach(async () => {
  folder = new Folder();
  store = await folder.open(5);
});

afterEach(async () => {
  await store.close();
  await folder.remove();
});

test("an attribute is forgotten without a trace", async () => {
  await store.setAttribute("city", SECRET);
  assert.notDeepEqual(folder.traces(SECRET), []);
  await store.setAttribute("city", undefined);
  assert.equal(await store.attribute("city"), undefined);
  assert.deepEqual(folder.traces(SECRET), []);
});

test("an item is forgotten without a trace", async () => {
  const interaction = { item: SECRET, kind: "view", weight: 1, value: undefined } as const;
  await store.record([{ ...interaction, time: 1 }, { ...interaction, time: 2 }]);
  assert.notDeepEqual(folder.traces(SECRET), []);
  assert.equal(await store.forget(SECRET), 2);
  assert.deepEqual(folder.traces(SECRET), []);
});

test("the state of the SDK before this one is upgraded", async () => {
  const old = join(folder.path, "old");
  mkdirSync(old);
  const database = new Database(join(old, "state.db"));
  for (const statement of STEPS.slice(0, 1)) database.exec(statement);
  database.prepare("INSERT INTO client VALUES (1, ?)").run(new Uint8Array(16));
  database.exec("INSERT INTO interactions VALUES ('a', 7); PRAGMA user_version = 1");
  database.close();
  const upgraded = new SqliteStore(old, 5);
  const expected = { item: "a", time: 7, kind: "view", weight: 1, value: undefined };
  assert.deepEqual(await upgraded.interactions(), [expected]);
  assert.deepEqual([await upgraded.key(), await upgraded.tasks()], [new Uint8Array(16), []]);
  await upgraded.close();
});
