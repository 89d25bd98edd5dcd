/** Plays the transcripts of sessions: the device must ask the same, end in the same way, and keep the same. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { bytesToHex } from "@noble/hashes/utils.js";
import { type FedError, UnknownCallError } from "../src/errors.js";
import * as device from "../src/gen/fedau2/v1/device_pb.js";
import { NODE } from "../src/platform.js";
import type { Store, Transport } from "../src/protocol/interfaces.js";
import { type Context, session } from "../src/protocol/session.js";
import { Trust } from "../src/protocol/trust.js";
import { packState, startState } from "../src/protocol/values.js";
import { resource } from "../src/wire/blobs.js";
import { Scripted } from "./scripted.js";
import { type Known, newState, type State } from "./states.js";
import { bundleFile, bytes, maybe, vectors } from "./vectors.js";

const TASK = "5a5a5a5a5a5a5a5a";
const utf8 = new TextEncoder();
const FOLDER = join(import.meta.dirname, "../../../conformance/bundles");

// eslint-disable-next-line @typescript-eslint/no-explicit-any
async function stateOf(given: any, blobs: Iterable<Uint8Array>): Promise<State> {
  const contributed = new Map(given.contributed === null ? [] : [[TASK, given.contributed]]);
  const made = await newState({ key: bytes(given.key), contributed, known: given.known.map(knownOf) });
  const { store } = made;
  await store.record(given.items.map((item: string) => ({ item, time: 0, kind: "view", weight: 1, value: undefined })));
  for (const [name, value] of Object.entries(given.attributes)) await store.setAttribute(name, value as string);
  if (given.cached) for (const data of blobs) await store.keepBlob(resource(data), data);
  if (given.staged > 0) {
    const assignmentId = Uint8Array.from({ length: 16 }, (_, place) => 100 + place);
    const state = startState(new Map([["p", { shape: [1, 2], values: new Float32Array(2) }]]));
    const contribution = new Uint8Array(given.staged);
    await store.stage({ assignmentId, taskId: TASK, round: 4n, contribution, state, attributes: [] });
  }
  return made;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
function knownOf({ task_id: taskId, manifest, recommender, catalogue, state, contributed }: any): Known {
  const listed = maybe(catalogue, (names: string[]) => utf8.encode(names.map((name) => `${name}\n`).join("")));
  return {
    taskId,
    manifest: bytes(manifest),
    recommender,
    catalogue: listed ?? undefined,
    state: maybe(state, bytes) ?? undefined,
    contributed: contributed ?? undefined,
  };
}

function blobsOf(bundle: string, others: Record<string, string>): Map<string, Uint8Array> {
  const names = ["manifest.binpb", ...readdirSync(join(FOLDER, bundle, "blobs")).map((name) => `blobs/${name}`)];
  const found = names.map((name) => bundleFile(bundle, name));
  const own = found.map((data): [string, Uint8Array] => [bytesToHex(resource(data).sha256), data]);
  return new Map([...own, ...Object.entries(others).map(([hash, data]): [string, Uint8Array] => [hash, bytes(data)])]);
}

/** What a session works with, as a transcript says. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
function contextOf(store: Store, transport: Transport, given: any, change: Partial<Context> = {}): Context {
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
  const { bundle, device: given, calls } = vectors("sessions")[0];
  const blobs = blobsOf(bundle, {});
  const { store, remove } = await stateOf({ ...given, cached: true }, blobs.values());
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
    await remove();
  }
});

test("a session: the coordinator takes no upload of this device, and the place is given back", async () => {
  const { bundle, device: given, calls } = vectors("sessions")[0];
  const blobs = blobsOf(bundle, {});
  const { store, remove } = await stateOf({ ...given, cached: true }, blobs.values());
  const reasons: device.FailureReason[] = [];
  class Unable extends Scripted {
    override async upload(): Promise<device.UploadContributionResponse> {
      throw new UnknownCallError("not known");
    }

    override async reportFailure({ reason }: device.ReportFailureRequest): Promise<device.ReportFailureResponse> {
      reasons.push(reason);
      return create(device.ReportFailureResponseSchema);
    }
  }
  try {
    await assert.rejects(session(contextOf(store, new Unable(calls, blobs), given)), UnknownCallError);
    assert.deepEqual(reasons, [device.FailureReason.UNSUPPORTED]);
    assert.equal(await store.staged(), undefined);
  } finally {
    await remove();
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
    const { store, remove } = await stateOf(given, blobs.values());
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
      await remove();
    }
  }
  assert.deepEqual(uploaded[0], uploaded[1]);
  assert.deepEqual(states[0], states[1]);
});

for (const { name, bundle, blobs: others, device: given, calls, events, end, after } of vectors("sessions")) {
  test(`a session: ${name}`, async () => {
      const blobs = blobsOf(bundle, others);
    const { store, remove } = await stateOf(given, blobs.values());
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
      await remove();
    }
  });
}
