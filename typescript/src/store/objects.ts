/** A database of IndexedDB for a client's state: made, checked for what is missing, and changed durably. */
import { FedError, StoreClosedError, StoreError, StoreLostError, StoreVersionError } from "../errors.js";
import { type Locks, locked } from "./tabs.js";

const VERSION = 2;
const BY_TASK = { options: { autoIncrement: true }, index: "taskId" };
interface Kind {
  readonly options?: IDBObjectStoreParameters;
  readonly index?: string;
  /** The version that brought it; without one the first. */
  readonly since?: number;
}

/** The object stores, with how their keys come about and what else they are found by. */
const STORES: Readonly<Record<string, Kind>> = {
  client: {},
  interactions: { options: { autoIncrement: true }, index: "time" },
  attributes: {},
  private: BY_TASK,
  personal: BY_TASK,
  tasks: BY_TASK,
  contributed: {},
  staged: {},
  model: {},
  blobs: {},
  parts: {},
  releases: { since: 2 },
};
const NAMES = Object.keys(STORES);
const KEY_SIZE = 16;

/** The key of the only object of a store. */
export const ONLY = 1;

/** What a browser brings for keeping state. */
export interface Browser {
  readonly indexedDB: IDBFactory;
  readonly locks: Locks;
  /** Remembers that there is a state, apart from it. A worker has none. */
  readonly marks: Pick<Storage, "getItem" | "setItem" | "removeItem"> | undefined;
}

/** Object stores by name, within one transaction. */
export type Objects = (name: string) => IDBObjectStore;

/** An open database that no other tab uses. */
export class ObjectDatabase {
  private closed: StoreError | undefined;

  private constructor(
    private readonly database: IDBDatabase,
    private readonly free: () => Promise<void>,
  ) {
    database.onclose = () => {
      this.closed ??= new StoreLostError("the browser has removed the client's state while it was open");
    };
  }

  /**
   * Opens a database, which is made for a new client.
   *
   * @throws StoreLockedError, StoreVersionError, StoreLostError, StoreError it cannot be used.
   */
  static async open(name: string, browser: Browser): Promise<ObjectDatabase> {
    const free = await locked(browser.locks, name);
    let database: IDBDatabase | undefined;
    try {
      database = await opened(name, browser);
      const objects = new ObjectDatabase(database, free);
      await objects.prepare(name, marked(name, browser));
      browser.marks?.setItem(markOf(name), "kept");
      return objects;
    } catch (error) {
      database?.close();
      await free();
      throw typed(error);
    }
  }

  /** Removes a database and what remembers it. @throws StoreLockedError a client has it open. */
  static async remove(name: string, browser: Browser): Promise<void> {
    const free = await locked(browser.locks, name);
    try {
      await answer(browser.indexedDB.deleteDatabase(name));
      browser.marks?.removeItem(markOf(name));
    } catch (error) {
      throw typed(error);
    } finally {
      await free();
    }
  }

  async close(): Promise<void> {
    if (this.closed instanceof StoreClosedError) return;
    this.closed = new StoreClosedError("the client is closed: open another");
    this.database.close();
    await this.free();
  }

  /** Reads from some object stores. */
  read<T>(names: readonly string[], work: (objects: Objects) => Promise<T>): Promise<T> {
    return this.transaction(names, "readonly", work);
  }

  /** Changes some object stores, all or nothing; the change is durable when the promise is fulfilled. */
  write<T>(names: readonly string[], work: (objects: Objects) => Promise<T>): Promise<T> {
    return this.transaction(names, "readwrite", work);
  }

  private async transaction<T>(
    names: readonly string[],
    mode: IDBTransactionMode,
    work: (objects: Objects) => Promise<T>,
  ): Promise<T> {
    if (this.closed !== undefined) throw this.closed;
    try {
      const transaction = this.database.transaction([...names], mode, { durability: "strict" });
      const done = ended(transaction);
      const value = await work((name) => transaction.objectStore(name)).catch(async (error: unknown) => {
        stop(transaction);
        await done.catch(() => undefined);
        throw error;
      });
      await done;
      return value;
    } catch (error) {
      throw this.closed ?? typed(error);
    }
  }

  /** Makes a new client's secret key, and finds out whether an old client's state is whole. */
  private async prepare(name: string, known: boolean): Promise<void> {
    const lost = new StoreLostError(
      `a part of the client's state ${name} is missing: remove it to begin as a new user, with another secret key`,
    );
    if (!NAMES.every((store) => this.database.objectStoreNames.contains(store))) throw lost;
    await this.write(NAMES, async (objects) => {
      const key: unknown = await answer(objects("client").get(ONLY));
      if (key instanceof Uint8Array && key.length === KEY_SIZE) return;
      const counts = await Promise.all(NAMES.map((store) => answer(objects(store).count())));
      if (known || counts.some((count) => count > 0)) throw lost;
      await answer(objects("client").put(crypto.getRandomValues(new Uint8Array(KEY_SIZE)), ONLY));
    });
  }
}

/** Returns the answer to a request. */
export function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function opened(name: string, browser: Browser): Promise<IDBDatabase> {
  let lost = false;
  const request = browser.indexedDB.open(name, VERSION);
  request.onupgradeneeded = ({ oldVersion }) => {
    lost = oldVersion === 0 && marked(name, browser);
    if (lost) request.transaction!.abort();
    else make(request.result, oldVersion);
  };
  try {
    return await answer(request);
  } catch (error) {
    if (!lost) throw error;
    throw new StoreLostError(
      `the browser has removed the client's state ${name}: remove the rest to begin as a new user, with another secret key`,
    );
  }
}

/** Makes the object stores that a version did not have; a new database has the version 0. */
function make(database: IDBDatabase, version: number): void {
  for (const [name, { options, index, since = 1 }] of Object.entries(STORES)) {
    if (since <= version) continue;
    const store = database.createObjectStore(name, options);
    if (index !== undefined) store.createIndex(index, index);
  }
}

/** Says whether there was a state of this name, as far as it can be known. */
function marked(name: string, { marks }: Browser): boolean {
  return typeof marks?.getItem(markOf(name)) === "string";
}

function markOf(name: string): string {
  return `fedau2 ${name}`;
}

function ended(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new StoreError("the client's state could not be changed"));
  });
}

function stop(transaction: IDBTransaction): void {
  try {
    transaction.abort();
  } catch {
    // it has ended by itself
  }
}

function typed(error: unknown): Error {
  if (error instanceof FedError) return error;
  const { name, message } = error as DOMException;
  if (name === "VersionError") return new StoreVersionError("the state was written by a newer SDK: update the app");
  if (name === "QuotaExceededError") return new StoreError("the browser gives the app no more room; nothing was changed");
  return new StoreError(`the client's state cannot be used: ${message}`);
}
