/** What every store of a client's state must do, whatever keeps it. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { StoreClosedError, StoreError, StoreLockedError, StoreVersionError } from "../src/errors.js";
import type { Resource } from "../src/gen/fedau2/v1/task_pb.js";
import type { Store } from "../src/protocol/interfaces.js";
import { type Adoption, type Carried, type Interaction, type Staged, startState, TASKS } from "../src/protocol/values.js";
import { nameOf, resource } from "../src/wire/blobs.js";

/** A place for one client's state, and what a test does to it from outside. */
export interface Home {
  /** @param most most interactions that are kept. */
  open(most: number): Promise<Store>;
  /** The names of all blobs and parts. */
  blobs(): Promise<string[]>;
  /** Changes a byte of a blob. */
  damage(address: Resource): Promise<void>;
  /** Lets the state look as if a newer SDK had written it. */
  makeNewer(): Promise<void>;
  remove(): Promise<void>;
}

const MOST = 5;

/** Declares the tests of stores in new homes. */
export function storeTests(newHome: () => Promise<Home>): void {
  let home: Home;
  let store: Store;

  beforeEach(async () => {
    home = await newHome();
    store = await home.open(MOST);
  });

  afterEach(async () => {
    await store.close();
    await home.remove();
  });

  async function reopen(): Promise<void> {
    await store.close();
    store = await home.open(MOST);
  }

  async function items(): Promise<string[]> {
    return (await store.interactions()).map(({ item }) => item).sort();
  }

  test("a key is made once", async () => {
    const key = await store.key();
    assert.equal(key.length, 16);
    await reopen();
    assert.deepEqual(await store.key(), key);
  });

  test("sequence numbers are kept by population and publisher, and do not fall", async () => {
    await store.raiseSequence("films", "aa", 2 ** 53);
    await store.raiseSequence("films", "aa", 5);
    await store.raiseSequence("films", "bb", 1);
    await store.raiseSequence("shoes", "bb", 3);
    await reopen();
    const least = await store.leastSequences("films");
    assert.deepEqual([least.get("aa"), least.get("bb"), least.size], [2 ** 53, 1, 2]);
    assert.equal((await store.leastSequences("others")).size, 0);
  });

  test("a second client is refused", async () => {
    await assert.rejects(home.open(MOST), StoreLockedError);
  });

  test("a closed store says so", async () => {
    await store.close();
    await assert.rejects(store.key(), StoreClosedError);
  });

  test("the oldest interactions are dropped", async () => {
    await store.record(Array.from({ length: MOST + 2 }, (_, time) => view(`item-${time}`, time)));
    assert.deepEqual(await items(), ["item-2", "item-3", "item-4", "item-5", "item-6"]);
    await store.record([view("old", -1), view("new", 9)]);
    assert.ok(!(await items()).includes("old"));
  });

  test("what is staged becomes the state, or is dropped, and survives a restart", async () => {
    await store.stage(staged(3n, 1));
    await reopen();
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

  test("a store that is full of newer interactions refuses an older one", async () => {
    await store.record(Array.from({ length: MOST }, (_, time) => view(`item-${time}`, time)));
    await assert.rejects(store.record([view("old", -1)]), StoreError);
    assert.equal(await store.record([view("old", -1), view("new", 9)]), 2);
  });

  test("all that was ever recorded is counted", async () => {
    assert.equal(await store.ever(), 0);
    await store.record(Array.from({ length: MOST + 2 }, (_, time) => view(`item-${time}`, time)));
    await store.forget("item-6");
    await store.record([view("a", 9)]);
    await store.record([view("b", 10)]);
    await assert.rejects(store.record([view("old", -1)]), StoreError);
    await reopen();
    assert.equal(await store.ever(), MOST + 4);
  });

  test("an interaction is kept as it was recorded", async () => {
    const rated: Interaction = { item: "a", time: 1.6e15 + 1, kind: "rating", weight: 0.3, value: 3.5 };
    await store.record([view("b", 2), rated]);
    await reopen();
    assert.deepEqual(await store.interactions(), [view("b", 2), rated]);
  });

  test("personal states of the last tasks are kept", async () => {
    for (let task = 0; task <= TASKS; task++) await store.keepPersonal(`task-${task}`, PERSONAL);
    assert.deepEqual(await store.personal("task-1"), PERSONAL);
    assert.deepEqual(await store.personal("task-0"), { ...PERSONAL, state: undefined, checkpoint: undefined });
    assert.equal(await store.personal("task-x"), undefined);
  });

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

  test("a damaged blob counts as missing", async () => {
    const data = Uint8Array.of(1, 2, 3);
    const address = resource(data);
    await store.keepBlob(address, data);
    assert.deepEqual(await store.blob(address), data);
    await home.damage(address);
    assert.equal(await store.blob(address), undefined);
  });

  test("only one part is kept, and only until its blob is whole", async () => {
    const [first, second] = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5)];
    await store.keepPart(resource(first), first.subarray(0, 2));
    assert.deepEqual(await store.part(resource(first)), first.subarray(0, 2));
    await store.keepPart(resource(second), second.subarray(0, 1));
    assert.equal((await store.part(resource(first))).length, 0);
    await store.keepBlob(resource(second), second);
    assert.deepEqual(await home.blobs(), [nameOf(resource(second))]);
  });

  test("room is made for a model, and only for it", async () => {
    const [old, wanted] = [Uint8Array.of(1), Uint8Array.of(2)];
    for (const data of [old, wanted]) await store.keepBlob(resource(data), data);
    await store.makeRoom([resource(wanted)]);
    assert.deepEqual(await home.blobs(), [nameOf(resource(wanted))]);
  });

  test("what is forgotten withdraws what is staged, and keeps the number of personal steps", async () => {
    await store.record([view("a", 1), view("a", 2), view("b", 1)]);
    await store.stage(staged(3n, 1));
    await store.keepPersonal("t", PERSONAL);
    assert.equal(await store.forget("c"), 0);
    assert.equal(await store.forget("b", 2), 0);
    assert.ok((await store.staged()) !== undefined);
    assert.deepEqual(await store.personal("t"), PERSONAL);
    assert.equal(await store.forget("a", 2), 1);
    assert.equal(await store.forget("a"), 1);
    assert.deepEqual(await items(), ["b"]);
    assert.equal(await store.staged(), undefined);
    assert.equal(await store.contributed("t"), 3n);
    assert.deepEqual(await store.personal("t"), { ...PERSONAL, state: undefined, checkpoint: undefined });
  });

  test("a newer SDK's state is refused, and stays", async () => {
    await store.close();
    await home.makeNewer();
    for (let attempt = 0; attempt < 2; attempt++) await assert.rejects(home.open(MOST), StoreVersionError);
  });
}

function view(item: string, time: number): Interaction {
  return { item, time, kind: "view", weight: 1, value: undefined };
}

function staged(round: bigint, value: number): Staged {
  const state = startState(new Map([["p", { shape: [1, 2], values: Float32Array.of(value, -value) }]]));
  const contribution = Uint8Array.of(1, 2, 3);
  return { assignmentId: new Uint8Array(16).fill(value), taskId: "t", round, contribution, state, attributes: ["gender"] };
}

/** What personal steps have made. */
const PERSONAL = { steps: 20, state: staged(0n, 3).state, checkpoint: new Uint8Array(32).fill(7), recorded: 9 };

function adoption(taskId: string, catalogue: Uint8Array | undefined, carried?: Carried): Adoption {
  const [manifest, checkpoint] = [resource(new TextEncoder().encode(taskId)), resource(Uint8Array.of(1))];
  const task = { taskId, manifest: manifest.sha256, recommender: "fedncf", catalogue };
  return { model: { taskId, round: 4n, manifest, checkpoint }, blobs: [], task, carried };
}
