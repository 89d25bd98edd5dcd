import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import {
  type Event,
  FedClient,
  NoModelError,
  type Options,
  type Recorded,
  TimedOutError,
  TransportError,
  UsageError,
} from "../src/index.js";
import { checked, Times } from "../src/recording.js";
import { liked } from "../src/weights.js";

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

test("a timeout may be a fraction, and longer than the platform's timers", async () => {
  await client.record("a");
  for (const timeout of [16.1, 2.01, 3e6]) await assert.rejects(client.sync(timeout), TransportError);
  for (const timeout of [2.01, 3e6]) await assert.rejects(client.personalise(2, timeout), NoModelError);
});

test("a like at once after a dislike counts as later", async () => {
  const now = Date.now();
  const times = new Times();
  const kept = checked(Array.from({ length: 20 }, () => ["a", { item: "a", kind: "dislike" } as const, "a"]).flat(), times);
  assert.deepEqual(kept.map(({ time }) => time), [...new Set(kept.map(({ time }) => time))].sort((one, two) => one - two));
  assert.ok(kept[0]!.time >= 1000 * now && kept[0]!.time <= 1000 * Date.now());
  assert.deepEqual(liked(kept), kept.slice(-1));
  await client.record({ item: "a", time: new Date(1e12) }); // the app's own times stay as they are
  assert.equal(await client.forget("a", new Date(1e12)), 1);
});

test("wrong interactions are refused: all are recorded, or none", async () => {
  const long = "x".repeat(1025);
  const items = ["", "two\nlines", long, "a\ud800"];
  const wrong: unknown[] = [
    ...items,
    ...items.map((item) => ({ item })),
    5,
    undefined,
    null,
    {},
    ["a"],
    { item: 5 },
    { item: "a", time: new Date(NaN) },
    { item: "a", time: Date.now() },
    { item: "a", time: "2020-01-01" },
    { item: "a", kind: "stare" },
    { item: "a", weight: 0 },
    { item: "a", weight: NaN },
    { item: "a", weight: 1e7 },
    { item: "a", weight: true },
    { item: "a", weight: 2n },
    { item: "a", value: 3 },
    { item: "a", kind: "rating" },
    { item: "a", kind: "rating", value: -1 },
    { item: "a", kind: "rating", value: "4.5" },
    { item: "a", kind: "rating", value: [3] },
  ];
  for (const record of wrong) {
    await assert.rejects(client.record(record as Recorded), UsageError);
    await assert.rejects(client.recordMany(["b", record as Recorded]), UsageError);
  }
  await assert.rejects(client.recordMany("b" as never), UsageError);
  for (const item of ["", 5, undefined]) await assert.rejects(client.forget(item as string), UsageError);
  for (const time of [new Date(NaN), null, 5]) await assert.rejects(client.forget("b", time as Date), UsageError);
  assert.deepEqual(await client.recorded(), []);
});

test("wrong attributes are refused, and those before them stay", async () => {
  await client.setAttribute("gender", "F");
  for (const value of [null, 5, "", "\udfff"]) await assert.rejects(client.setAttribute("gender", value as string), UsageError);
  for (const name of [null, 5, ""]) await assert.rejects(client.setAttribute(name as string, "F"), UsageError);
});

test("wrong numbers and timeouts are refused", async () => {
  for (const wrong of [0, 1.5, -1, NaN, "3"]) {
    await assert.rejects(client.personalise(wrong as number), UsageError);
    await assert.rejects(client.recommend(wrong as number), UsageError);
  }
  for (const timeout of [0, -1, NaN, Infinity, "3", null]) {
    await assert.rejects(client.sync(timeout as number), UsageError);
    await assert.rejects(client.personalise(1, timeout as number), UsageError);
  }
  await assert.rejects(client.recommend(1, 5 as never), UsageError);
});

const WRONG: Readonly<Record<string, readonly unknown[]>> = {
  stateDir: [undefined, "", 5],
  coordinator: [undefined, "", 5],
  population: [undefined, "", 5, "\u00e4".repeat(65)],
  publishers: [[], ["abc"], "abc", null],
  maxInteractions: [0, -1, NaN, 1.5, "9", null],
  maxModelAge: [0, -1, NaN, "9", null],
  personalSteps: [-1, 1.5, NaN, null],
};

test("wrong options are refused before anything is made", () => {
  const options = { stateDir: join(folder, "other"), coordinator: "127.0.0.1:1", population: "movies" };
  for (const [name, values] of Object.entries(WRONG)) {
    for (const value of values) {
      assert.throws(() => FedClient.open({ ...options, [name]: value } as Options), UsageError, `${name} ${value}`);
    }
  }
  assert.ok(!existsSync(options.stateDir));
});
