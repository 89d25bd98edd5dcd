import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { StoreLostError } from "../src/errors.js";
import type { Resource } from "../src/gen/fedau2/v1/task_pb.js";
import { IndexedDbStore } from "../src/store/indexeddb.js";
import { answer, ObjectDatabase, ONLY } from "../src/store/objects.js";
import { nameOf } from "../src/wire/blobs.js";
import { newOrigin } from "./origin.js";
import { type Home, storeTests } from "./stores.js";

let homes = 0;

/** A database of an origin, which tests also open beside the store. */
class Database implements Home {
  readonly origin = newOrigin();
  readonly name = `database ${++homes}`;

  open(most: number): Promise<IndexedDbStore> {
    return IndexedDbStore.open(this.name, most, this.origin);
  }

  async blobs(): Promise<string[]> {
    return this.beside(async (database) => {
      const objects = database.transaction(["blobs", "parts"]);
      const keys = await Promise.all(["blobs", "parts"].map((name) => answer(objects.objectStore(name).getAllKeys())));
      return keys.flat() as string[];
    });
  }

  async damage(address: Resource): Promise<void> {
    await this.beside(async (database) => {
      const blobs = database.transaction("blobs", "readwrite").objectStore("blobs");
      const data: Uint8Array = await answer(blobs.get(nameOf(address)));
      await answer(blobs.put(data.fill(9, 0, 1), nameOf(address)));
    });
  }

  async makeNewer(): Promise<void> {
    (await answer(this.origin.indexedDB.open(this.name, 99))).close();
  }

  async remove(): Promise<void> {
    await ObjectDatabase.remove(this.name, this.origin);
  }

  /** Works on the database without the store. */
  async beside<T>(work: (database: IDBDatabase) => Promise<T>): Promise<T> {
    const database = await answer(this.origin.indexedDB.open(this.name));
    try {
      return await work(database);
    } finally {
      database.close();
    }
  }
}

describe("IndexedDB", () => storeTests(async () => new Database()));

describe("IndexedDB alone", () => {
  let home: Database;
  let store: IndexedDbStore;

  beforeEach(async () => {
    home = new Database();
    store = await home.open(5);
  });

  afterEach(async () => {
    await store.close();
    await home.remove();
  });

  test("a state that the browser removed is not taken for a new user's", async () => {
    const key = await store.key();
    await store.close();
    await answer(home.origin.indexedDB.deleteDatabase(home.name));
    for (let attempt = 0; attempt < 2; attempt++) await assert.rejects(home.open(5), StoreLostError);
    await home.remove();
    store = await home.open(5);
    assert.notDeepEqual(await store.key(), key);
  });

  test("a state without its key is not taken for a new user's", async () => {
    await store.setAttribute("gender", "F");
    await store.close();
    home.origin.marks?.removeItem(`fedau2 ${home.name}`);
    await home.beside((database) =>
      answer(database.transaction("client", "readwrite").objectStore("client").delete(ONLY)),
    );
    await assert.rejects(home.open(5), StoreLostError);
  });

  test("a state of the first version gets what later ones have, and keeps the rest", async () => {
    const key = await store.key();
    const { origin, name } = home;
    const records = await home.beside(async (database) => {
      const [kept] = await Promise.all([answer<unknown>(database.transaction("client").objectStore("client").get(ONLY))]);
      return { kept, names: [...database.objectStoreNames].filter((part) => part !== "releases") };
    });
    await store.close();
    await answer(origin.indexedDB.deleteDatabase(name));
    const request = origin.indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      for (const part of records.names) request.result.createObjectStore(part);
      request.transaction!.objectStore("client").put(records.kept, ONLY);
    };
    (await answer(request)).close();
    store = await home.open(5);
    assert.deepEqual(await store.key(), key);
    await store.raiseSequence("films", "aa", 1);
  });

  test("a state without one of its parts is refused", async () => {
    await store.close();
    await home.remove();
    const request = home.origin.indexedDB.open(home.name, 1);
    request.onupgradeneeded = () => void request.result.createObjectStore("client");
    (await answer(request)).close();
    await assert.rejects(home.open(5), StoreLostError);
  });

  test("the records of the SDK before this one are counted as far as they are kept", async () => {
    const view = { item: "a", time: 1, kind: "view", weight: 1, value: undefined } as const;
    await store.record([view, view]);
    await store.close();
    await home.beside((database) =>
      answer(database.transaction("client", "readwrite").objectStore("client").delete("recorded")),
    );
    store = await home.open(5);
    assert.equal(await store.ever(), 2);
    await store.record([view]);
    assert.equal(await store.ever(), 3);
  });

  test("a change that fails changes nothing", async () => {
    const view = { item: "a", time: 1, kind: "view", weight: 1, value: undefined } as const;
    const wrong = { ...view, value: (() => undefined) as unknown as number }; // which no database can keep
    await assert.rejects(store.record([view, wrong]));
    assert.deepEqual(await store.interactions(), []);
  });
});
