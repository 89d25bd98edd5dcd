import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import Database from "better-sqlite3";
import { StoreClosedError, StoreError, StoreLockedError, StoreVersionError } from "../src/errors.js";
import { startState, type Staged } from "../src/protocol/values.js";
import { SqliteStore } from "../src/store/sqlite.js";
import { nameOf, resource } from "../src/wire/blobs.js";

const MOST = 5;
let folder: string;
let store: SqliteStore;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fedau2-"));
  store = new SqliteStore(folder, MOST);
});

afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

function reopen(): void {
  store.close();
  store = new SqliteStore(folder, MOST);
}

function staged(round: bigint, value: number): Staged {
  const state = startState(new Map([["p", { shape: [1, 2], values: Float32Array.of(value, -value) }]]));
  const contribution = Uint8Array.of(1, 2, 3);
  return { assignmentId: new Uint8Array(16).fill(value), taskId: "t", round, contribution, state, attributes: ["gender"] };
}

test("a key is made once", async () => {
  const key = await store.key();
  assert.equal(key.length, 16);
  reopen();
  assert.deepEqual(await store.key(), key);
});

test("a second client is refused", () => {
  assert.throws(() => new SqliteStore(folder, MOST), StoreLockedError);
});

test("a newer SDK's state is refused, and stays", () => {
  store.close();
  const database = new Database(join(folder, "state.db"));
  database.pragma("user_version = 99");
  database.close();
  assert.throws(() => new SqliteStore(folder, MOST), StoreVersionError);
  const again = new Database(join(folder, "state.db"));
  again.pragma("user_version = 1");
  again.close();
  reopen();
});

test("a closed store says so", async () => {
  store.close();
  await assert.rejects(store.key(), StoreClosedError);
});

test("the oldest interactions are dropped", async () => {
  await store.record(Array.from({ length: MOST + 2 }, (_, time) => [`item-${time}`, time]));
  assert.deepEqual((await store.items()).sort(), ["item-2", "item-3", "item-4", "item-5", "item-6"]);
  await store.record([["old", -1]]);
  assert.ok(!(await store.items()).includes("old"));
});

test("an attribute is forgotten without a trace", async () => {
  const traces = () => readdirSync(folder).filter((name) => name.startsWith("state.db") && holds(name));
  const holds = (name: string) => readFileSync(join(folder, name)).includes("Llanfairpwllgwyngyll");
  await store.setAttribute("city", "Llanfairpwllgwyngyll");
  assert.equal(await store.attribute("city"), "Llanfairpwllgwyngyll");
  assert.notDeepEqual(traces(), []);
  await store.setAttribute("city", undefined);
  assert.equal(await store.attribute("city"), undefined);
  assert.deepEqual(traces(), []);
});

test("what is staged becomes the state, or is dropped, and survives a restart", async () => {
  await store.stage(staged(3n, 1));
  reopen();
  const found = (await store.staged())!;
  assert.deepEqual(found, staged(3n, 1));
  await assert.rejects(store.stage(staged(4n, 2)), StoreError);
  await assert.rejects(store.promote(new Uint8Array(16)), StoreError);
  assert.equal(await store.private("t"), undefined);
  await store.promote(found.assignmentId);
  assert.deepEqual(await store.private("t"), found.state);
  assert.equal(await store.contributed("t"), 3n);
  await store.stage(staged(4n, 2));
  await store.discard(staged(4n, 2).assignmentId);
  assert.deepEqual(await store.private("t"), found.state);
  assert.equal(await store.contributed("t"), 3n);
  assert.equal(await store.staged(), undefined);
});

test("a damaged blob counts as missing", async () => {
  const data = Uint8Array.of(1, 2, 3);
  const address = resource(data);
  await store.keepBlob(address, data);
  assert.deepEqual(await store.blob(address), data);
  writeFileSync(join(folder, "blobs", nameOf(address)), Uint8Array.of(1, 2, 4));
  assert.equal(await store.blob(address), undefined);
});

test("only one part is kept, and only until its blob is whole", async () => {
  const [first, second] = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5)];
  await store.keepPart(resource(first), first.subarray(0, 2));
  assert.deepEqual(await store.part(resource(first)), first.subarray(0, 2));
  await store.keepPart(resource(second), second.subarray(0, 1));
  assert.equal((await store.part(resource(first))).length, 0);
  await store.keepBlob(resource(second), second);
  assert.deepEqual(readdirSync(join(folder, "blobs")), [nameOf(resource(second))]);
});

test("room is made for a model, and only for it", async () => {
  const [old, wanted] = [Uint8Array.of(1), Uint8Array.of(2)];
  for (const data of [old, wanted]) await store.keepBlob(resource(data), data);
  await store.makeRoom([resource(wanted)]);
  assert.deepEqual(readdirSync(join(folder, "blobs")), [nameOf(resource(wanted))]);
});
