/** The tasks that a state folder's database knows: a successor finds its ancestors here. */
import { deflateSync, inflateSync } from "node:zlib";
import type { KnownTask } from "../protocol/values.js";
import { bytesOf } from "./blobFolder.js";
import type { StateDatabase } from "./database.js";

/** Notes a task unless it is known, and forgets what nobody needs any more, within a transaction. */
export function know(database: StateDatabase, { taskId, manifest, recommender, catalogue }: KnownTask): void {
  const fields = [taskId, manifest, recommender, catalogue && deflateSync(catalogue)];
  database.run("INSERT OR IGNORE INTO tasks VALUES (?, ?, ?, ?)", ...fields);
  const current = "SELECT task_id FROM private UNION SELECT task_id FROM model";
  database.run(`UPDATE tasks SET catalogue = NULL WHERE task_id NOT IN (${current})`);
  database.run(`DELETE FROM tasks WHERE task_id NOT IN (${current} UNION SELECT task_id FROM contributed)`);
}

/** Returns the known tasks, in the order in which they were adopted. */
export function tasks(database: StateDatabase): KnownTask[] {
  return database.all("SELECT * FROM tasks ORDER BY rowid").map((row) => ({
    taskId: row.task_id!,
    manifest: bytesOf(row.manifest!),
    recommender: row.recommender!,
    catalogue: row.catalogue ? inflated(row.catalogue) : undefined,
  }));
}

/** Returns a catalogue's bytes; undefined if they are damaged, so that the state with an item axis starts anew. */
function inflated(data: Buffer): Uint8Array | undefined {
  try {
    return bytesOf(inflateSync(data));
  } catch {
    return undefined;
  }
}
