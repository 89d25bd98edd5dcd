/** States of clients for transcripts, in Node; test/browser/states.ts has those of a browser. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import Database from "better-sqlite3";
import type { Store } from "../src/protocol/interfaces.js";
import { SqliteStore } from "../src/store/sqlite.js";

/** Most interactions that a state keeps. */
export const MOST = 1000;

/** A task that a device took part in before. */
export interface Known {
  readonly taskId: string;
  readonly manifest: Uint8Array;
  readonly recommender: string;
  readonly catalogue: Uint8Array | undefined;
  /** The packed private state. */
  readonly state: Uint8Array | undefined;
  readonly contributed: number | undefined;
}

/** What no store lets an app set. */
export interface Past {
  readonly key: Uint8Array;
  /** The last round with a contribution, by task. */
  readonly contributed: ReadonlyMap<string, number>;
  readonly known: readonly Known[];
}

/** An open store, and a function that closes and removes it. */
export interface State {
  readonly store: Store;
  readonly remove: () => Promise<void>;
}

/** Makes the state of a client with a past. */
export async function newState({ key, contributed, known }: Past): Promise<State> {
  const folder = mkdtempSync(join(tmpdir(), "fedau2-"));
  await new SqliteStore(folder, MOST).close();
  const database = new Database(join(folder, "state.db"));
  database.prepare("UPDATE client SET key = ?").run(key);
  for (const [task, round] of contributed) database.prepare("INSERT INTO contributed VALUES (?, ?)").run(task, round);
  for (const task of known) keep(database, task);
  database.close();
  const store = new SqliteStore(folder, MOST);
  const remove = async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  };
  return { store, remove };
}

function keep(database: Database.Database, { taskId, manifest, recommender, catalogue, state, contributed }: Known): void {
  const items = catalogue && deflateSync(catalogue);
  database.prepare("INSERT INTO tasks VALUES (?, ?, ?, ?)").run(taskId, manifest, recommender, items);
  if (state !== undefined) database.prepare("INSERT INTO private VALUES (?, ?)").run(taskId, state);
  if (contributed !== undefined) database.prepare("INSERT INTO contributed VALUES (?, ?)").run(taskId, contributed);
}
