/** The interactions in a state folder's database. They are kept whether or not a catalogue lists their items. */
import { StoreError } from "../errors.js";
import type { Interaction, Kind } from "../protocol/values.js";
import type { StateDatabase } from "./database.js";

/** Returns all interactions, in the order in which they were recorded. */
export function all(database: StateDatabase): Interaction[] {
  return database.all("SELECT * FROM interactions ORDER BY rowid").map((row) => ({
    item: row.item!,
    time: Number(row.time),
    kind: row.kind as Kind,
    weight: row.weight!,
    value: row.value ?? undefined,
  }));
}

/** Returns the number of interactions that were ever recorded, also those that are not kept any more. */
export function ever(database: StateDatabase): number {
  return Number(database.one("SELECT recorded FROM client")!.recorded);
}

/**
 * Adds interactions within a transaction, and drops those with the oldest times beyond `most`.
 *
 * @returns how many were dropped.
 * @throws StoreError none of the new ones would be kept.
 */
export function add(database: StateDatabase, added: readonly Interaction[], most: number): number {
  const { row: last } = database.one("SELECT coalesce(max(rowid), 0) AS row FROM interactions")!;
  for (const { item, time, kind, weight, value } of added) {
    database.run("INSERT INTO interactions VALUES (?, ?, ?, ?, ?)", item, BigInt(time), kind, weight, value);
  }
  database.run("UPDATE client SET recorded = recorded + ?", added.length);
  const oldest = "SELECT rowid FROM interactions ORDER BY time DESC, rowid DESC LIMIT -1 OFFSET ?";
  const dropped = database.run(`DELETE FROM interactions WHERE rowid IN (${oldest})`, most);
  const kept = database.one("SELECT 1 FROM interactions WHERE rowid > ?", last) !== undefined;
  if (kept || added.length === 0) return dropped;
  throw new StoreError(
    `nothing was recorded, because the store is full of newer interactions (${most}): check the device's clock, or ` +
      "open the client with a larger maxInteractions",
  );
}

/** Removes the interactions with an item, or those of one time, within a transaction. Returns their number. */
export function remove(database: StateDatabase, item: string, time: number | undefined): number {
  if (time === undefined) return database.run("DELETE FROM interactions WHERE item = ?", item);
  return database.run("DELETE FROM interactions WHERE item = ? AND time = ?", item, BigInt(time));
}
