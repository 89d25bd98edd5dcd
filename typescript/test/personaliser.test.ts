import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { NoDataError, NoModelError, UntrustedTaskError } from "../src/errors.js";
import { FedClient } from "../src/index.js";
import { Personaliser } from "../src/personalisation/personaliser.js";
import { NODE } from "../src/platform.js";
import { known } from "../src/protocol/succession.js";
import { servedState, stateOf } from "../src/protocol/preparation.js";
import { Trust } from "../src/protocol/trust.js";
import { type Model, packState, type Personal, startState } from "../src/protocol/values.js";
import { SqliteStore } from "../src/store/sqlite.js";
import { resource } from "../src/wire/blobs.js";
import { parse } from "../src/wire/manifest.js";
import { pack, type Tensor, unpack } from "../src/wire/tensors.js";
import { blob, bundleFile, FOLDER, vectors } from "./vectors.js";

const TASK = "t";
const never = new AbortController().signal;
let folder: string;
let store: SqliteStore;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fedau2-"));
  store = new SqliteStore(folder, 100);
});

afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

function personaliser(steps = 3, trust = new Trust(NODE)): Personaliser {
  return new Personaliser(store, NODE, trust, steps);
}

async function record(...numbers: readonly number[]): Promise<void> {
  await store.record(
    numbers.map((number) => ({ item: `item-${number}`, time: number, kind: "view", weight: 1, value: undefined })),
  );
}

/** Makes a model of a bundle the current one; those of later rounds have larger numbers. */
async function adopt(bundle: string, round: bigint): Promise<Model> {
  const data = bundleFile(bundle, "manifest.binpb");
  const task = parse(data);
  const blobs = readdirSync(join(FOLDER, "bundles", bundle, "blobs")).map((name) => bundleFile(bundle, `blobs/${name}`));
  const first = unpack(blob(bundle, task.checkpoint!));
  const factor = 1 + Number(round);
  const larger = ({ shape, values }: Tensor): Tensor => ({ shape, values: values.map((value) => value * factor) });
  const checkpoint = pack(new Map([...first].map(([name, tensor]) => [name, larger(tensor)])));
  const all = [data, checkpoint, ...blobs];
  for (const content of all) await store.keepBlob(resource(content), content);
  const model = { taskId: TASK, round, manifest: resource(data), checkpoint: resource(checkpoint) };
  const catalogue = blob(bundle, task.catalogue!);
  await store.adopt({ model, blobs: all.map(resource), task: known(model, task, catalogue), carried: undefined });
  return model;
}

test("there is nothing to personalise before a model or a record", async () => {
  await assert.rejects(personaliser().personalise(1, never), NoModelError);
  await personaliser().whenDue(never);
  await adopt("fedncf", 0n);
  await assert.rejects(personaliser().personalise(1, never), NoDataError);
  await record(99); // which the catalogue does not list
  await assert.rejects(personaliser().personalise(1, never), NoDataError);
  await personaliser().whenDue(never); // throws nothing
  assert.equal(await store.personal(TASK), undefined);
});

test("personal steps serve recommendations, and contributions do not build on them", async () => {
  const model = await adopt("fedncf", 0n);
  await record(1, 2, 3);
  const task = parse((await store.blob(model.manifest))!);
  const before = packState(await stateOf(store, TASK, task));
  assert.deepEqual(await personaliser().personalise(7, never), { steps: 7, ended: "done" });
  const personal = (await store.personal(TASK))!;
  assert.deepEqual([personal.steps, personal.recorded, personal.checkpoint], [7, 3, model.checkpoint.sha256]);
  assert.deepEqual(await servedState(store, TASK, task), personal.state);
  assert.notDeepEqual(packState(personal.state!), before);
  assert.deepEqual(packState(await stateOf(store, TASK, task)), before);
  assert.equal(await store.private(TASK), undefined);
});

test("a state that has contributed more steps is served", async () => {
  const model = await adopt("fedncf", 0n);
  await record(1, 2, 3);
  await personaliser().personalise(2, never);
  const task = parse((await store.blob(model.manifest))!);
  const state = (await stateOf(store, TASK, task)).values;
  const assignmentId = new Uint8Array(16);
  const trained = { ...startState(state), steps: 3 };
  await store.stage({ assignmentId, taskId: TASK, round: 0n, contribution: assignmentId, state: trained, attributes: [] });
  await store.promote(assignmentId);
  assert.deepEqual(await servedState(store, TASK, task), await store.private(TASK));
});

test("the client personalises for a new model, for a tenth more records, and where its state was removed", async () => {
  const own = personaliser(1);
  const steps = async () => {
    await own.whenDue(never);
    return (await store.personal(TASK))?.steps;
  };
  await adopt("fedncf", 0n);
  await record(...Array.from({ length: 20 }, (_, number) => number));
  assert.equal(await steps(), 1);
  assert.equal(await steps(), 1);
  await record(20);
  assert.equal(await steps(), 1);
  await record(21);
  assert.equal(await steps(), 1); // 2 of 22 are less than a tenth
  await record(22);
  assert.equal(await steps(), 2);
  await store.forget("item-22");
  assert.equal(await steps(), 3);
  await adopt("fedncf", 1n);
  assert.equal(await steps(), 4);
});

test("the client personalises for new records in a full store", async () => {
  await store.close();
  store = new SqliteStore(folder, 10);
  const own = personaliser(1);
  await adopt("fedncf", 0n);
  for (const expected of [1, 2, 3]) {
    await record(...Array.from({ length: 10 }, (_, number) => number + expected));
    await own.whenDue(never);
    assert.equal((await store.personal(TASK))!.steps, expected);
    await own.whenDue(never);
    assert.equal((await store.personal(TASK))!.steps, expected);
  }
});

/** Ends the work when the first steps are kept. */
class Stopping extends SqliteStore {
  readonly stopping = new AbortController();

  override async keepPersonal(taskId: string, personal: Personal): Promise<void> {
    this.stopping.abort();
    await super.keepPersonal(taskId, personal);
  }
}

test("steps that were taken before an interruption are kept, and their numbers do not recur", async () => {
  await store.close();
  const { stopping } = (store = new Stopping(folder, 100));
  await adopt("fedncf", 0n);
  await record(1, 2, 3);
  assert.deepEqual(await personaliser().personalise(20, stopping.signal), { steps: 5, ended: "interrupted" });
  const personal = (await store.personal(TASK))!;
  assert.deepEqual([personal.steps, personal.checkpoint], [5, undefined]);
  await personaliser().personalise(1, never);
  assert.equal((await store.personal(TASK))!.steps, 6);
});

test("a client says what ended its personal steps", async () => {
  await adopt("fedncf", 0n);
  await record(1, 2, 3);
  await store.close();
  const client = FedClient.open({ stateDir: folder, coordinator: "127.0.0.1:1", population: "movies" });
  assert.equal((await client.personalise(1e9, 0.01)).ended, "timeout");
  const personalising = client.personalise(1e9);
  await client.close();
  assert.equal((await personalising).ended, "interrupted");
});

test("a model without private tensors needs no personal steps", async () => {
  await adopt("fedvae", 0n);
  await record(1, 2, 3);
  assert.deepEqual(await personaliser().personalise(3, never), { steps: 0, ended: "nothingPrivate" });
});

test("nothing of a task that is not trusted is run", async () => {
  await adopt("fedncf", 0n);
  await record(1, 2, 3);
  const trust = new Trust(NODE, [vectors("wire").signatures.key]);
  await assert.rejects(personaliser(3, trust).personalise(1, never), UntrustedTaskError);
});
