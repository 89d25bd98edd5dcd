import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import Database from "better-sqlite3";
import { StoreClosedError, StoreError, StoreLockedError, StoreVersionError } from "../src/errors.js";
import { type Adoption, type Carried, type Interaction, type Staged, startState, TASKS } from "../src/protocol/values.js";
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

function view(item: string, time: number): Interaction {
  return { item, time, kind: "view", weight: 1, value: undefined };
}

async function items(): Promise<string[]> {
  return (await store.interactions()).map(({ item }) => item).sort();
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
  again.pragma("user_version = 2");
  again.close();
  reopen();
});

test("a closed store says so", async () => {
  store.close();
  await assert.rejects(store.key(), StoreClosedError);
});

test("the oldest interactions are dropped", async () => {
  await store.record(Array.from({ length: MOST + 2 }, (_, time) => view(`item-${time}`, time)));
  assert.deepEqual(await items(), ["item-2", "item-3", "item-4", "item-5", "item-6"]);
  await store.record([view("old", -1), view("new", 9)]);
  assert.ok(!(await items()).includes("old"));
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

test("a store that is full of newer interactions refuses an older one", async () => {
  await store.record(Array.from({ length: MOST }, (_, time) => view(`item-${time}`, time)));
  await assert.rejects(store.record([view("old", -1)]), StoreError);
  assert.equal(await store.record([view("old", -1), view("new", 9)]), 2);
});

test("an interaction is kept as it was recorded", async () => {
  const rated: Interaction = { item: "a", time: 1.6e15 + 1, kind: "rating", weight: 0.3, value: 3.5 };
  await store.record([view("b", 2), rated]);
  reopen();
  assert.deepEqual(await store.interactions(), [view("b", 2), rated]);
});

const PERSONAL = { steps: 20, state: staged(0n, 3).state, checkpoint: new Uint8Array(32).fill(7), recorded: 9 };

test("what is forgotten leaves no trace, withdraws what is staged, and keeps the number of personal steps", async () => {
  const traces = () => readdirSync(folder).filter((name) => name.startsWith("state.db") && holds(name));
  const holds = (name: string) => readFileSync(join(folder, name)).includes("Llanfairpwllgwyngyll");
  await store.record([view("Llanfairpwllgwyngyll", 1), view("Llanfairpwllgwyngyll", 2), view("b", 1)]);
  await store.stage(staged(3n, 1));
  await store.keepPersonal("t", PERSONAL);
  assert.equal(await store.forget("c"), 0);
  assert.equal(await store.forget("b", 2), 0);
  assert.ok((await store.staged()) !== undefined);
  assert.deepEqual(await store.personal("t"), PERSONAL);
  assert.equal(await store.forget("Llanfairpwllgwyngyll", 2), 1);
  assert.equal(await store.forget("Llanfairpwllgwyngyll"), 1);
  assert.deepEqual(traces(), []);
  assert.deepEqual(await items(), ["b"]);
  assert.equal(await store.staged(), undefined);
  assert.equal(await store.contributed("t"), 3n);
  assert.deepEqual(await store.personal("t"), { ...PERSONAL, state: undefined, checkpoint: undefined });
});

test("personal states of the last tasks are kept", async () => {
  for (let task = 0; task <= TASKS; task++) await store.keepPersonal(`task-${task}`, PERSONAL);
  assert.deepEqual(await store.personal("task-1"), PERSONAL);
  assert.deepEqual(await store.personal("task-0"), { ...PERSONAL, state: undefined, checkpoint: undefined });
  assert.equal(await store.personal("task-x"), undefined);
});

function adoption(taskId: string, catalogue: Uint8Array | undefined, carried?: Carried): Adoption {
  const [manifest, checkpoint] = [resource(new TextEncoder().encode(taskId)), resource(Uint8Array.of(1))];
  const task = { taskId, manifest: manifest.sha256, recommender: "fedncf", catalogue };
  return { model: { taskId, round: 4n, manifest, checkpoint }, blobs: [], task, carried };
}

test("tasks are known in their order, and catalogues as long as there is a state", async () => {
  const catalogue = new TextEncoder().encode("a\nb\n");
  await store.adopt(adoption("first", catalogue));
  await store.adopt(adoption("first", undefined)); // known already
  assert.deepEqual(await store.tasks(), [adoption("first", catalogue).task]);
  await store.adopt(adoption("second", catalogue, { state: PERSONAL.state, contributed: -1n }));
  assert.deepEqual(await store.tasks(), [adoption("second", catalogue).task]); // nothing of the first is left
  assert.deepEqual(await store.private("second"), PERSONAL.state);
  assert.equal(await store.contributed("second"), -1n);
  await store.adopt(adoption("third", catalogue, { state: undefined, contributed: 3n }));
  await store.adopt(adoption("fourth", undefined));
  const expected = [adoption("second", catalogue), adoption("third", undefined), adoption("fourth", undefined)];
  assert.deepEqual(await store.tasks(), expected.map(({ task }) => task));
});
