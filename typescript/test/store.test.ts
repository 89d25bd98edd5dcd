import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import Database from "better-sqlite3";
import { StoreError, StoreLostError } from "../src/errors.js";
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
  assert.deepEqual([await upgraded.key(), await upgraded.tasks(), await upgraded.ever()], [new Uint8Array(16), [], 1]);
  await upgraded.close();
});

/** Returns the names of all files of a folder, with their contents. */
function contents(path: string): Map<string, string> {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(files.map(({ parentPath, name }) => [name, readFileSync(join(parentPath, name), "latin1")]));
}

for (const name of ["cat.jpg", "blobs/dog.jpg"]) {
  test(`a folder with ${name} is refused, and keeps it`, () => {
    const photos = join(folder.path, "photos");
    mkdirSync(join(photos, "blobs"), { recursive: true });
    writeFileSync(join(photos, name), "x");
    const before = contents(photos);
    assert.throws(() => new SqliteStore(photos, 5), StoreError);
    assert.deepEqual(contents(photos), before);
  });
}

test("files of others among the blobs stay", async () => {
  const path = join(folder.path, "blobs", "dog.jpg.part");
  writeFileSync(path, "x");
  const data = Uint8Array.of(1);
  const address = { sha256: new Uint8Array(32), size: 2n } as Resource;
  await store.keepPart(address, data);
  await store.makeRoom([]);
  assert.deepEqual(await folder.blobs(), ["dog.jpg.part"]);
});

test("another program's database is refused, and stays as it was", () => {
  const other = join(folder.path, "other");
  mkdirSync(other);
  const database = new Database(join(other, "state.db"));
  database.exec("CREATE TABLE client (name TEXT)");
  database.close();
  const before = contents(other);
  assert.throws(() => new SqliteStore(other, 5), StoreError);
  assert.deepEqual(contents(other).get("state.db"), before.get("state.db"));
});

const LOSSES: Readonly<Record<string, (path: string) => void>> = {
  removed: (path) => rmSync(path),
  emptied: (path) => writeFileSync(path, ""),
  replaced: (path) => {
    rmSync(path);
    const database = new Database(path);
    database.exec("CREATE TABLE t (a); DROP TABLE t"); // which leaves a file without tables
    database.close();
  },
};

for (const [loss, lose] of Object.entries(LOSSES)) {
  test(`a database that was ${loss} is not taken for a new user's`, async () => {
    await store.close();
    lose(join(folder.path, "state.db"));
    for (let attempt = 0; attempt < 2; attempt++) await assert.rejects(folder.open(5), StoreLostError);
  });
}

test("a first opening that was cut off is made good", async () => {
  const path = join(folder.path, "cut");
  mkdirSync(path);
  for (const name of ["state.db", "instance"]) writeFileSync(join(path, name), "");
  const opened = new SqliteStore(path, 5);
  assert.equal((await opened.key()).length, 16);
  await opened.close();
});

test("a copy gets a secret key of its own, once, and keeps the rest", async (context) => {
  context.mock.method(console, "warn", () => undefined);
  const key = await store.key();
  await store.setAttribute("city", SECRET);
  await store.close();
  const path = join(folder.path, "copy");
  mkdirSync(path);
  for (const name of readdirSync(folder.path).filter((part) => part !== "copy")) {
    cpSync(join(folder.path, name), join(path, name), { recursive: true });
  }
  const keys: Uint8Array[] = [];
  for (let attempt = 0; attempt < 2; attempt++) {
    const copy = new SqliteStore(path, 5);
    keys.push(await copy.key());
    assert.equal(await copy.attribute("city"), SECRET);
    await copy.close();
  }
  assert.deepEqual(keys[0], keys[1]);
  assert.notDeepEqual(keys[0], key);
  store = await folder.open(5);
  assert.deepEqual(await store.key(), key);
});

test("only the owner can read the database, also in a folder that others can read", async () => {
  const path = join(folder.path, "open");
  mkdirSync(path, { mode: 0o755 });
  const first = new SqliteStore(path, 5);
  await first.setAttribute("city", SECRET);
  const modes = [...contents(path).keys()].map((name) => statSync(join(path, name)).mode & 0o777);
  assert.deepEqual(new Set(modes), new Set([0o600]));
  await first.close();
});
