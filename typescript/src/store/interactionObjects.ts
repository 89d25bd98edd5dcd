/** The interactions that IndexedDB keeps. */
import { StoreError } from "../errors.js";
import type { Interaction } from "../protocol/values.js";
import { answer, type Objects } from "./objects.js";

/** Key of the number of interactions that were ever recorded, beside the secret key. An older SDK has kept none. */
const EVER = "recorded";

/** Returns the number of interactions that were ever recorded, also those that are not kept any more. */
export async function ever(objects: Objects): Promise<number> {
  const count: number | undefined = await answer(objects("client").get(EVER));
  return count ?? (await answer(objects("interactions").count()));
}

/**
 * Adds interactions, and drops those with the oldest times beyond `most`.
 *
 * @returns how many were dropped.
 * @throws StoreError none of the new ones would be kept.
 */
export async function add(objects: Objects, added: readonly Interaction[], most: number): Promise<number> {
  const store = objects("interactions");
  objects("client").put((await ever(objects)) + added.length, EVER);
  const keys: IDBValidKey[] = [];
  for (const interaction of added) keys.push(await answer(store.add(interaction)));
  const excess = (await answer(store.count())) - most;
  if (excess <= 0) return 0;
  const oldest = new Set(await answer(store.index("time").getAllKeys(null, excess)));
  if (keys.length > 0 && keys.every((key) => oldest.has(key))) {
    throw new StoreError(
      `nothing was recorded, because the store is full of newer interactions (${most}): check the device's clock, or ` +
        "open the client with a larger maxInteractions",
    );
  }
  for (const key of oldest) store.delete(key);
  return oldest.size;
}

/** Removes the interactions with an item, or those of one time. Returns their number. */
export async function remove(objects: Objects, item: string, time: number | undefined): Promise<number> {
  const store = objects("interactions");
  const [keys, all] = await Promise.all([answer(store.getAllKeys()), answer<Interaction[]>(store.getAll())]);
  const gone = keys.filter((_, place) => all[place]!.item === item && (time === undefined || all[place]!.time === time));
  for (const key of gone) store.delete(key);
  return gone.length;
}
