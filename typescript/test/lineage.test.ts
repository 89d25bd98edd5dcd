/** Which ancestor a device carries over from, where it took part in several. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import Database from "better-sqlite3";
import { type TaskManifest, TaskManifestSchema } from "../src/gen/fedau2/v1/task_pb.js";
import { carry, lastContribution } from "../src/protocol/succession.js";
import { type Model, type PrivateState, unpackState } from "../src/protocol/values.js";
import { SqliteStore } from "../src/store/sqlite.js";
import { resource } from "../src/wire/blobs.js";
import { bytes, vectors } from "./vectors.js";

const [vector] = vectors("successors");
const CATALOGUE = new TextEncoder().encode(vector.items.map((item: string) => `${item}\n`).join(""));
const MODEL: Model = { taskId: "successor", round: 9n, manifest: resource(CATALOGUE), checkpoint: resource(CATALOGUE) };
const [NEWER, OLDER] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
let folder: string;
let store: SqliteStore;
let task: TaskManifest;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fedau2-"));
  store = new SqliteStore(folder, 100);
  task = { ...fromBinary(TaskManifestSchema, bytes(vector.task)), ancestors: [NEWER, OLDER] };
});

afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

/** Returns the ancestor's state of the vectors, with another number of steps to know it by. */
function stateWith(steps: number): PrivateState {
  return { ...unpackState(bytes(vector.ancestor.state)), steps };
}

/** Lets the store know a task with a state of so many steps, and a last contribution. */
async function know(taskId: string, manifest: Uint8Array, steps?: number, contributed?: bigint): Promise<void> {
  await store.adopt({
    model: { ...MODEL, taskId },
    blobs: [],
    task: { taskId, manifest, recommender: "toy", catalogue: CATALOGUE },
    carried: { state: steps === undefined ? undefined : stateWith(steps), contributed },
  });
}

async function stepsCarried(): Promise<number | undefined> {
  return (await carry(store, MODEL, task, CATALOGUE))?.carried.state?.steps;
}

test("the newest ancestor with a state is taken, and the last contribution to any", async () => {
  await know("older", OLDER, 5, 7n);
  assert.equal(await stepsCarried(), 5);
  await know("newer", NEWER, undefined, 3n);
  assert.equal(await stepsCarried(), 5);
  await know("newest", NEWER, 6, 4n);
  assert.equal(await stepsCarried(), 6);
  assert.equal(await lastContribution(store, MODEL, task), 7n);
  assert.equal(await lastContribution(store, { ...MODEL, round: 7n }, task), 6n);
});

test("of two tasks with the same manifest, the one that was adopted last is taken", async () => {
  await know("first", NEWER, 5);
  await know("second", NEWER, 6);
  assert.equal(await stepsCarried(), 6);
});

test("nothing is carried over from no ancestor, or to a task that has a state or a contribution of its own", async () => {
  await know("older", OLDER, 5);
  assert.equal(await carry(store, MODEL, { ...task, ancestors: [] }, CATALOGUE), undefined);
  assert.equal(await carry(store, MODEL, { ...task, ancestors: [new Uint8Array(32)] }, CATALOGUE), undefined);
  await know(MODEL.taskId, new Uint8Array(32).fill(3), undefined, 0n);
  assert.equal(await carry(store, MODEL, task, CATALOGUE), undefined);
  assert.equal(await lastContribution(store, MODEL, task), 0n);
});

test("if the ancestor's catalogue is damaged, what lies along the items starts anew", async () => {
  await know("older", OLDER, 5);
  await store.close();
  const database = new Database(join(folder, "state.db"));
  database.exec("UPDATE tasks SET catalogue = x'0102'");
  database.close();
  store = new SqliteStore(folder, 100);
  const over = await carry(store, MODEL, task, CATALOGUE);
  const anew = task.tensors.map(({ name }) => name).filter((name) => name !== "plain");
  assert.deepEqual(over!.event, { type: "carriedOver", taskId: "successor", tensors: ["plain"], anew });
});
