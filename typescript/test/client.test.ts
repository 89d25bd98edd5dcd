import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import {
  type Event,
  FedClient,
  type Kind,
  NoModelError,
  type Recorded,
  TimedOutError,
  TransportError,
  UsageError,
} from "../src/index.js";

let folder: string;
let client: FedClient;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fedau2-"));
  client = FedClient.open({ stateDir: folder, coordinator: "127.0.0.1:1", population: "movies" });
});

afterEach(async () => {
  await client.close();
  rmSync(folder, { recursive: true });
});

test("there is no model before the first sync", async () => {
  await assert.rejects(client.recommend(3), NoModelError);
});

test("there is nothing to personalise before the first sync", async () => {
  await assert.rejects(client.personalise(), NoModelError);
});

test("what is recorded of an item is forgotten, all of it or of one time", async () => {
  const time = new Date(1e12);
  await client.recordMany(["a", { item: "a", time, kind: "rating", value: 4 }, { item: "b", kind: "dislike", time }]);
  assert.equal(await client.forget("a", new Date(1)), 0);
  assert.equal(await client.forget("a", time), 1);
  assert.equal(await client.forget("a"), 1);
  assert.equal(await client.forget("a"), 0);
});

test("events come to every subscriber until it unsubscribes, also after a callback that throws", async () => {
  const options = { stateDir: join(folder, "small"), coordinator: "127.0.0.1:1", population: "movies", maxInteractions: 2 };
  const small = FedClient.open(options);
  const events: Event[] = [];
  const fail = () => {
    throw new Error("of the app");
  };
  const ends = [small.subscribe(fail), small.subscribe(async () => fail())]; // a rejection left alone ends Node
  const unsubscribe = small.subscribe((event) => events.push(event));
  await small.recordMany(["a", "b", "c"]);
  await assert.rejects(small.sync(), TransportError);
  assert.deepEqual(events.map(({ type }) => type), ["interactionsDropped", "syncFailed"]);
  unsubscribe();
  for (const end of ends) end();
  await small.record("d");
  assert.equal(events.length, 2);
  assert.throws(() => small.subscribe(5 as never), UsageError);
  await small.close();
});

test("a sync without a coordinator loses nothing, and may be tried again", async () => {
  await client.record("a");
  for (let attempt = 0; attempt < 2; attempt++) {
    await assert.rejects(client.sync(), (error: unknown) => error instanceof TransportError && error.temporary);
  }
});

/** Listens, and never answers. */
async function silent<T>(use: (address: string) => Promise<T>): Promise<T> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on("error", () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await use(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

test("a sync ends at the app's timeout", () =>
  silent(async (coordinator) => {
    const patient = FedClient.open({ stateDir: join(folder, "patient"), coordinator, population: "movies" });
    await patient.record("a");
    await assert.rejects(patient.sync(0.2), TimedOutError);
    await patient.close();
  }));

test("a sync under way is interrupted by close", () =>
  silent(async (coordinator) => {
    const patient = FedClient.open({ stateDir: join(folder, "patient"), coordinator, population: "movies" });
    await patient.record("a");
    const events: Event[] = [];
    patient.subscribe((event) => events.push(event));
    const sync = patient.sync();
    await patient.close();
    assert.equal((await sync).result, "interrupted");
    assert.deepEqual(events, [{ type: "syncInterrupted", reason: "" }]);
  }));

test("wrong arguments are refused", async () => {
  const long = "x".repeat(1025);
  for (const item of ["", "two\nlines", long]) await assert.rejects(client.record(item), UsageError);
  await assert.rejects(client.record({ item: "a", time: new Date(NaN) }), UsageError);
  const wrong: Recorded[] = [
    { item: "a", kind: "stare" as Kind },
    { item: "a", weight: 0 },
    { item: "a", weight: NaN },
    { item: "a", weight: 1e7 },
    { item: "a", value: 3 },
    { item: "a", kind: "rating" },
    { item: "a", kind: "rating", value: -1 },
  ];
  for (const record of wrong) await assert.rejects(client.recordMany(["b", record]), UsageError);
  await assert.rejects(client.forget(""), UsageError);
  await assert.rejects(client.forget("b", new Date(NaN)), UsageError);
  assert.equal(await client.forget("b"), 0); // all of them are recorded, or none
  await assert.rejects(client.personalise(0), UsageError);
  for (const k of [0, 1.5, -1]) await assert.rejects(client.recommend(k), UsageError);
  const options = { stateDir: join(folder, "other"), coordinator: "127.0.0.1:1", population: "movies" };
  assert.throws(() => FedClient.open({ ...options, population: "" }), UsageError);
  assert.throws(() => FedClient.open({ ...options, population: "\u00e4".repeat(65) }), UsageError);
  assert.throws(() => FedClient.open({ ...options, publishers: [] }), UsageError);
  assert.throws(() => FedClient.open({ ...options, personalSteps: -1 }), UsageError);
});
