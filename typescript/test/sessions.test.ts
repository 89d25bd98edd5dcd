/** Plays the transcripts of sessions: the device must ask the same, end in the same way, and keep the same. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { bytesToHex } from "@noble/hashes/utils.js";
import Database from "better-sqlite3";
import { type FedError, RefusedError, TransportError, UnknownCallError } from "../src/errors.js";
import * as device from "../src/gen/fedau2/v1/device_pb.js";
import { type Resource, RetryWindowSchema } from "../src/gen/fedau2/v1/task_pb.js";
import { NODE } from "../src/platform.js";
import type { Transport } from "../src/protocol/interfaces.js";
import { session } from "../src/protocol/session.js";
import { Trust } from "../src/protocol/trust.js";
import { packState, startState } from "../src/protocol/values.js";
import { windowOf } from "../src/retry.js";
import { SqliteStore } from "../src/store/sqlite.js";
import { resource } from "../src/wire/blobs.js";
import { bundleFile, bytes, maybe, vectors } from "./vectors.js";

const TASK = "5a5a5a5a5a5a5a5a";
const FOLDER = join(import.meta.dirname, "../../../conformance/bundles");

/** A coordinator that answers as a transcript says, and expects what it says. */
class Scripted implements Transport {
  private place = 0;

  constructor(
    private readonly calls: readonly any[], // eslint-disable-line @typescript-eslint/no-explicit-any
    private readonly blobs: ReadonlyMap<string, Uint8Array>,
  ) {}

  get done(): boolean {
    return this.place === this.calls.length;
  }

  close(): void {}

  async checkIn(request: device.CheckInRequest): Promise<device.CheckInResponse> {
    return this.unary("CheckIn", device.CheckInRequestSchema, request, device.CheckInResponseSchema);
  }

  async uploadOffset(request: device.UploadOffsetRequest): Promise<device.UploadOffsetResponse> {
    return this.unary("UploadOffset", device.UploadOffsetRequestSchema, request, device.UploadOffsetResponseSchema);
  }

  async reportFailure(request: device.ReportFailureRequest): Promise<device.ReportFailureResponse> {
    return this.unary("ReportFailure", device.ReportFailureRequestSchema, request, device.ReportFailureResponseSchema);
  }

  async *fetch({ sha256 }: Resource, offset: number): AsyncIterable<Uint8Array> {
    const call = this.next("FetchResource");
    const request = fromBinary(device.FetchResourceRequestSchema, bytes(call.request));
    assert.deepEqual([request.sha256, Number(request.offset)], [sha256, offset]);
    refuse(call);
    let start = offset;
    for (const size of call.pieces) {
      yield this.blobs.get(bytesToHex(sha256))!.subarray(start, (start += size));
    }
    if (call.broken) throw new TransportError("the connection broke");
  }

  async upload(header: device.UploadHeader, data: Uint8Array): Promise<device.UploadContributionResponse> {
    const call = this.next("UploadContribution");
    assert.deepEqual(header.assignmentId, bytes(call.header.assignment_id));
    assert.deepEqual([Number(header.size), Number(header.offset)], [call.header.size, call.header.offset]);
    assert.equal(data.length - Number(header.offset), call.sent);
    refuse(call);
    return fromBinary(device.UploadContributionResponseSchema, bytes(call.response));
  }

  private unary<I extends DescMessage, O extends DescMessage>(
    method: string,
    asked: I,
    request: MessageShape<I>,
    answered: O,
  ): MessageShape<O> {
    const call = this.next(method);
    // Fields that this SDK does not know are about features that it does not have.
    const expected = fromBinary(asked, bytes(call.request), { readUnknownFields: false });
    assert.deepEqual(toBinary(asked, request), toBinary(asked, expected));
    refuse(call);
    return fromBinary(answered, bytes(call.response));
  }

  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  private next(method: string): any {
    const call = this.calls[this.place++];
    assert.equal(method, call?.method);
    return call;
  }
}

function refuse(call: { status?: number; retry?: string; unknown?: true; unanswered?: true }): void {
  const retry = call.retry === undefined ? undefined : windowOf(fromBinary(RetryWindowSchema, bytes(call.retry)));
  if (call.status !== undefined) throw new RefusedError("refused", call.status, retry);
  if (call.unknown) throw new UnknownCallError("not known");
  if (call.unanswered) throw new TransportError("not answered");
}

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
    const { result } = await session({
      store,
      transport: new Stopping(calls, blobs),
      platform: NODE,
      trust: new Trust(NODE),
      population: given.population,
      version: given.version,
      emit: () => undefined,
      withoutPlace: false,
      wanted: async () => false,
      signal: stopping.signal,
      clock: () => 0,
    });
    assert.deepEqual([result, reasons], ["interrupted", [device.FailureReason.INTERRUPTED]]);
    assert.equal(await store.staged(), undefined);
  } finally {
    store.close();
    rmSync(folder, { recursive: true });
  }
});

for (const { name, bundle, blobs: others, device: given, calls, events, end, after } of vectors("sessions")) {
  test(`a session: ${name}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "fedau2-"));
    const blobs = blobsOf(bundle, others);
    const store = await storeOf(folder, given, blobs.values());
    const transport = new Scripted(calls, blobs);
    const emitted: string[] = [];
    try {
      const found = await session({
        store,
        transport,
        platform: NODE,
        trust: new Trust(NODE),
        population: given.population,
        version: given.version,
      emit: ({ type }) => emitted.push(type[0]!.toUpperCase() + type.slice(1)),
        withoutPlace: given.without_place,
        wanted: async () => given.wanted,
        signal: undefined,
        clock: () => 0,
      }).then(
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
