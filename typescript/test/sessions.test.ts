/** Plays the transcripts of sessions: the device must ask the same, end in the same way, and keep the same. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { create } from "@bufbuild/protobuf";
import { bytesToHex } from "@noble/hashes/utils.js";
import Database from "better-sqlite3";
import type { FedError } from "../src/errors.js";
import * as device from "../src/gen/fedau2/v1/device_pb.js";
import { NODE } from "../src/platform.js";
import type { Transport } from "../src/protocol/interfaces.js";
import { type Context, session } from "../src/protocol/session.js";
import { Trust } from "../src/protocol/trust.js";
import { packState, startState } from "../src/protocol/values.js";
import { SqliteStore } from "../src/store/sqlite.js";
import { resource } from "../src/wire/blobs.js";
import { Scripted } from "./scripted.js";
import { bundleFile, bytes, maybe, vectors } from "./vectors.js";

const TASK = "5a5a5a5a5a5a5a5a";
const FOLDER = join(import.meta.dirname, "../../../conformance/bundles");

// eslint-disable-next-line @typescript-eslint/no-explicit-any
async function storeOf(folder: string, given: any, blobs: Iterable<Uint8Array>): Promise<SqliteStore> {
  new SqliteStore(folder, 1000).close();
  const database = new Database(join(folder, "state.db"));
  database.prepare("UPDATE client SET key = ?").run(bytes(given.key));
  if (given.contributed !== null) {
    database.prepare("INSERT INTO contributed VALUES (?, ?)").run(TASK, given.contributed);
  }
  for (const known of given.known) keep(database, known);
  database.close();
  const store = new SqliteStore(folder, 1000);
  await store.record(given.items.map((item: string) => ({ item, time: 0, kind: "view", weight: 1, value: undefined })));
  for (const [name, value] of Object.entries(given.attributes)) await store.setAttribute(name, value as string);
  if (given.cached) for (const data of blobs) await store.keepBlob(resource(data), data);
  if (given.staged > 0) {
    const assignmentId = Uint8Array.from({ length: 16 }, (_, place) => 100 + place);
    const state = startState(new Map([["p", { shape: [1, 2], values: new Float32Array(2) }]]));
    const contribution = new Uint8Array(given.staged);
    await store.stage({ assignmentId, taskId: TASK, round: 4n, contribution, state, attributes: [] });
  }
  return store;
}

/** Puts a task that a device took part in before into its state. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
function keep(database: Database.Database, { task_id: taskId, manifest, recommender, catalogue, state, contributed }: any): void {
  const items = maybe(catalogue, (names: string[]) => deflateSync(names.map((name) => `${name}\n`).join("")));
  database.prepare("INSERT INTO tasks VALUES (?, ?, ?, ?)").run(taskId, bytes(manifest), recommender, items);
  if (state !== null) database.prepare("INSERT INTO private VALUES (?, ?)").run(taskId, bytes(state));
  if (contributed !== null) database.prepare("INSERT INTO contributed VALUES (?, ?)").run(taskId, contributed);
}

function blobsOf(bundle: string, others: Record<string, string>): Map<string, Uint8Array> {
  const names = ["manifest.binpb", ...readdirSync(join(FOLDER, bundle, "blobs")).map((name) => `blobs/${name}`)];
  const found = names.map((name) => bundleFile(bundle, name));
  const own = found.map((data): [string, Uint8Array] => [bytesToHex(resource(data).sha256), data]);
  return new Map([...own, ...Object.entries(others).map(([hash, data]): [string, Uint8Array] => [hash, bytes(data)])]);
}

/** What a session works with, as a transcript says. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
function contextOf(store: SqliteStore, transport: Transport, given: any, change: Partial<Context> = {}): Context {
  return {
    store,
    transport,
    platform: NODE,
    trust: new Trust(NODE),
    population: given.population,
    version: given.version,
    emit: () => undefined,
    withoutPlace: given.without_place,
    wanted: async () => given.wanted,
    signal: undefined,
    clock: () => 0,
    ...change,
  };
}

test("a session: the app stops it, and the place is given back", async () => {
  const folder = mkdtempSync(join(tmpdir(), "fedau2-"));
  const { bundle, device: given, calls } = vectors("sessions")[0];
  const blobs = blobsOf(bundle, {});
  const store = await storeOf(folder, { ...given, cached: true }, blobs.values());
  const stopping = new AbortController();
  const reasons: device.FailureReason[] = [];
  class Stopping extends Scripted {
    override async checkIn(request: device.CheckInRequest): Promise<device.CheckInResponse> {
      stopping.abort();
      return super.checkIn(request);
    }

    override async reportFailure({ reason }: device.ReportFailureRequest): Promise<device.ReportFailureResponse> {
      reasons.push(reason);
      return create(device.ReportFailureResponseSchema);
    }
  }
  try {
    const { result } = await session(contextOf(store, new Stopping(calls, blobs), given, { signal: stopping.signal }));
    assert.deepEqual([result, reasons], ["interrupted", [device.FailureReason.INTERRUPTED]]);
    assert.equal(await store.staged(), undefined);
  } finally {
    store.close();
    rmSync(folder, { recursive: true });
  }
});

test("a session: the contribution is the same byte for byte, whatever personal steps have made", async () => {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  const named = vectors("sessions").find(({ name }: any) => name === "a successor is trained");
  const { bundle, blobs: others, device: given, calls } = named;
  const blobs = blobsOf(bundle, others);
  const uploaded: Uint8Array[] = [];
  const states: Uint8Array[] = [];
  class Keeping extends Scripted {
    override async upload(header: device.UploadHeader, data: Uint8Array): Promise<device.UploadContributionResponse> {
      uploaded.push(data);
      return super.upload(header, data);
    }
  }
  for (const personal of [undefined, 0.5]) {
    const folder = mkdtempSync(join(tmpdir(), "fedau2-"));
    const store = await storeOf(folder, given, blobs.values());
    try {
      if (personal !== undefined) {
        const values = new Map([["item_personal", { shape: [1, 40, 3], values: new Float32Array(120).fill(personal) }]]);
        for (const task of [TASK, given.known[0].task_id]) {
          const state = { ...startState(values), steps: 99 };
          await store.keepPersonal(task, { steps: 99, state, checkpoint: undefined, recorded: 1 });
        }
      }
      await session(contextOf(store, new Keeping(calls, blobs), given));
      states.push(packState((await store.private(TASK))!));
    } finally {
      await store.close();
      rmSync(folder, { recursive: true });
    }
  }
  assert.deepEqual(uploaded[0], uploaded[1]);
  assert.deepEqual(states[0], states[1]);
});

for (const { name, bundle, blobs: others, device: given, calls, events, end, after } of vectors("sessions")) {
  test(`a session: ${name}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "fedau2-"));
    const blobs = blobsOf(bundle, others);
    const store = await storeOf(folder, given, blobs.values());
    const transport = new Scripted(calls, blobs);
    const emitted: string[] = [];
    try {
      const found = await session(contextOf(store, transport, given, { emit: ({ type }) => emitted.push(type[0]!.toUpperCase() + type.slice(1)) })).then(
        ({ result, retry, refreshed }) => ({ result, retry: retry ? [retry.earliest, retry.latest] : null, refreshed }),
        (error: FedError) => ({ error: error.name }),
      );
      assert.deepEqual(found, end);
      assert.ok(transport.done, "the device asked less than it should");
      assert.deepEqual(emitted, events);
      const [contributed, model, state] = [await store.contributed(TASK), await store.model(), await store.private(TASK)];
      const kept = {
        staged: (await store.staged()) !== undefined,
        contributed: contributed === undefined ? null : Number(contributed),
        trained: state !== undefined,
        carried: state === undefined || emitted.includes("Uploaded") ? null : packState(state),
        model: model === undefined ? null : Number(model.round),
      };
      assert.deepEqual(kept, { ...after, carried: after.carried && bytes(after.carried) });
    } finally {
      store.close();
      rmSync(folder, { recursive: true });
    }
  });
}
