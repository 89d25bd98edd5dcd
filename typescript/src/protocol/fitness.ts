/** Says whether a client could train, before it asks for a place in a round. */
import { AttributeValueError, NoDataError } from "../errors.js";
import type { TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import { positivesOf } from "../weights.js";
import type { Store } from "./interfaces.js";
import { labels, rowsOf } from "./preparation.js";

/** Returns the error that training for a task would end with; undefined: it can train, or the task is not known. */
export async function unfit(
  store: Store,
  task: TaskManifest | undefined,
): Promise<NoDataError | AttributeValueError | undefined> {
  const interactions = await store.interactions();
  if (interactions.length === 0) return new NoDataError("nothing is recorded to train on: call record() first");
  const catalogue = task && (await store.blob(task.catalogue!));
  if (task === undefined || catalogue === undefined) return undefined;
  const rows = rowsOf(catalogue);
  if (!interactions.some(({ item }) => rows.has(item))) {
    return new NoDataError("the catalogue lists nothing that is recorded: call record() with an item that it lists");
  }
  if (positivesOf(interactions, rows, task.plan!.interactions).rows.length === 0) {
    return new NoDataError("the task counts nothing that is recorded: call record() with what the user has chosen");
  }
  try {
    await labels(store, task);
  } catch (error) {
    if (error instanceof AttributeValueError) return error;
    throw error;
  }
  return undefined;
}
