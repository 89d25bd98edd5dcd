/** Decides whether a device that has no place in a round fetches the newest model all the same. */
import { UnsupportedTaskError } from "../errors.js";
import type { TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import { sameResource } from "../wire/blobs.js";
import { parse } from "../wire/manifest.js";
import { parts } from "./fetching.js";
import type { Store } from "./interfaces.js";
import type { Model } from "./values.js";

/** Returns the manifest of the newest model; undefined where there is none that this SDK runs. */
export async function knownTask(store: Store): Promise<TaskManifest | undefined> {
  const model = await store.model();
  const data = model && (await store.blob(model.manifest));
  try {
    return data && parse(data);
  } catch (error) {
    if (error instanceof UnsupportedTaskError) return undefined; // the next sync fetches another
    throw error;
  }
}

/**
 * Says whether a store is to fetch a model: if it has no whole one, if its own is old, or if it cannot train by its own.
 *
 * @param newest the newest model, as the coordinator names it.
 * @param oldest seconds after which a model is replaced by a newer one; Infinity: never.
 * @param unfit the client cannot train by its own model. By another task's catalogue and classes it may be able to.
 */
export async function wanted(store: Store, newest: Model, oldest: number, unfit: boolean): Promise<boolean> {
  const [model, renewed] = [await store.model(), await store.renewed()];
  if (model === undefined || renewed === undefined) return true;
  if (unfit && !sameResource(model.manifest, newest.manifest)) return true;
  const age = (Date.now() - renewed) / 1000;
  const old = oldest < Infinity && !(age >= 0 && age < oldest);
  if (old && !sameResource(model.checkpoint, newest.checkpoint)) return true;
  return !(await whole(store, model));
}

async function whole(store: Store, model: Model): Promise<boolean> {
  const task = await knownTask(store);
  if (task === undefined) return false;
  for (const part of parts(model, task)) if ((await store.blob(part)) === undefined) return false;
  return true;
}
