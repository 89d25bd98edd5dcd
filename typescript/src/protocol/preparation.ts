/** Prepares a job from a model that has been fetched: adds the client's data to it. */
import { taskKey } from "../draws/keys.js";
import { initial } from "../draws/samples.js";
import { AttributeValueError } from "../errors.js";
import type { TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import { catalogue } from "../wire/blobs.js";
import { privateOf } from "../wire/manifest.js";
import type { Store } from "./interfaces.js";
import { type PrivateState, startState } from "./values.js";

/** Returns the private state that a client starts with, a pure function of manifest and task key. */
export function initialState(task: TaskManifest, key: Uint8Array): PrivateState {
  const values = initial(privateOf(task), key);
  return startState(new Map(privateOf(task).map(({ name, shape }) => [name, { shape: [1, ...shape], values: values.get(name)! }])));
}

/** Returns a client's private state for a task: the promoted one, or the one that it starts with. */
export async function stateOf(store: Store, taskId: string, task: TaskManifest): Promise<PrivateState> {
  return (await store.private(taskId)) ?? initialState(task, taskKey(await store.key(), taskId));
}

/**
 * Returns the private state that recommendations come from: the one that personal steps have made, unless contributions
 * have taken more steps since these were turned off.
 */
export async function servedState(store: Store, taskId: string, task: TaskManifest): Promise<PrivateState> {
  const [promoted, personal] = [await store.private(taskId), (await store.personal(taskId))?.state];
  if (personal === undefined || (promoted !== undefined && promoted.steps > personal.steps)) {
    return stateOf(store, taskId, task);
  }
  return personal;
}

/** Returns the rows of a catalogue by item. */
export function rowsOf(catalogueData: Uint8Array): Map<string, number> {
  return new Map(catalogue(catalogueData).map((item, row) => [item, row]));
}

/**
 * Returns the class numbers of a client's attributes by adversary, without attributes that are not known.
 *
 * @throws AttributeValueError the task does not know an attribute's value.
 */
export async function labels(store: Store, task: TaskManifest): Promise<Map<string, number>> {
  const numbers = new Map<string, number>();
  for (const { name, attribute, classes } of task.plan!.adversaries) {
    const value = await store.attribute(attribute);
    if (value === undefined) continue;
    if (!classes.includes(value)) {
      const known = classes.join(", ");
      throw new AttributeValueError(`this task does not know the value of ${attribute}; it knows ${known}`, attribute);
    }
    numbers.set(name, classes.indexOf(value));
  }
  return numbers;
}
