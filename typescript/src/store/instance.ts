/**
 * Notices that a state folder was copied, or restored from a backup, and gives the copy a secret key of its own.
 *
 * Two devices with one key would draw the same noise and the same negatives. The coordinator could recognise their
 * contributions, and take the noise away. A folder is known by a file that is made once and never written: by its number
 * in the file system, the time at which it was made, and the name of the machine. A copy has another number.
 */
import { createHash, randomBytes } from "node:crypto";
import { statSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import type { StateDatabase } from "./database.js";

/**
 * Draws a new secret key if the folder is another than the one in which the database was opened last. Everything else
 * stays.
 *
 * @param file that marks the folder.
 */
export function claim(database: StateDatabase, file: string): void {
  const here = markerOf(file);
  const { instance } = database.one("SELECT instance FROM client")!;
  if (instance === here) return;
  const copied = instance !== null; // an older SDK has noted no folder
  database.transaction(() => {
    database.run("UPDATE client SET instance = ?", here);
    if (copied) database.run("UPDATE client SET key = ?", randomBytes(16));
  });
  if (copied) {
    console.warn(`${dirname(file)} was copied or restored: it has a new secret key, and keeps everything else`);
  }
}

function markerOf(file: string): string {
  const { ino, mtimeNs } = statSync(file, { bigint: true });
  return createHash("sha256").update(`${ino}:${mtimeNs}:${hostname()}`).digest("hex");
}
