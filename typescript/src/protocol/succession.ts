/** Carries a client's state over from a task to its successor (docs/protocol/successors.md). */
import { bytesToHex } from "@noble/hashes/utils.js";
import type { TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import { taskKey } from "../draws/keys.js";
import type { Event } from "../events.js";
import { catalogue } from "../wire/blobs.js";
import { axisOf } from "../wire/itemAxes.js";
import { privateOf } from "../wire/manifest.js";
import { Succession } from "../wire/succession.js";
import type { Tensor } from "../wire/tensors.js";
import type { Store } from "./interfaces.js";
import { initialState } from "./preparation.js";
import type { Carried, KnownTask, Model, PrivateState } from "./values.js";

/** A task that another one goes on from, as far as a client knows it. */
export interface Ancestor {
  readonly recommender: string;
  /** Undefined: it has no private state. */
  readonly state: PrivateState | undefined;
  /** The item ids of its catalogue, in row order; undefined if the client does not have them. */
  readonly items: readonly string[] | undefined;
  /** The last round with a contribution to any of the ancestors; undefined: there was none. */
  readonly contributed: bigint | undefined;
}

/** A state that is carried over, and the event that says so; undefined if the client had no private state. */
export interface CarriedOver {
  readonly carried: Carried;
  readonly event: Event | undefined;
}

/** A private state, and the names of the tensors that were carried over to it. */
export interface CarriedState {
  readonly state: PrivateState;
  readonly tensors: readonly string[];
}

/** Returns a task as its successors need to know it, with the catalogue's bytes if they need it. */
export function known({ taskId, manifest }: Model, task: TaskManifest, data: Uint8Array): KnownTask {
  // Older bundles do not name the axis of the items.
  const listed = privateOf(task).some((spec) => axisOf(spec) !== undefined || spec.shape[0] === task.items);
  return { taskId, manifest: manifest.sha256, recommender: task.model, catalogue: listed ? data : undefined };
}

/** Returns the last round with a contribution to a task, or to an ancestor of it; undefined before the first. */
export async function lastContribution(store: Store, model: Model, task: TaskManifest): Promise<bigint | undefined> {
  return (await store.contributed(model.taskId)) ?? before(model, await ancestorOf(store, task));
}

/**
 * Carries over the state of the newest ancestor that the client has trained for.
 *
 * @param model the version that is about to be adopted.
 * @param data the bytes of the task's catalogue.
 * @returns undefined: the task goes on from nothing that the client has, or the client has state for the task itself.
 */
export async function carry(
  store: Store,
  model: Model,
  task: TaskManifest,
  data: Uint8Array,
): Promise<CarriedOver | undefined> {
  const own = (await store.private(model.taskId)) ?? (await store.contributed(model.taskId));
  const ancestor = own === undefined ? await ancestorOf(store, task) : undefined;
  if (ancestor === undefined) return undefined;
  const contributed = before(model, ancestor);
  if (ancestor.state === undefined) return { carried: { state: undefined, contributed }, event: undefined };
  const fresh = initialState(task, taskKey(await store.key(), model.taskId));
  const { state, tensors } = carriedState(task, catalogue(data), ancestor, ancestor.state, fresh);
  const anew = privateOf(task).flatMap(({ name }) => (tensors.includes(name) ? [] : [name]));
  return { carried: { state, contributed }, event: { type: "carriedOver", taskId: model.taskId, tensors, anew } };
}

/** Returns the first of a task's ancestors that the client has private state for, or only its last contribution. */
async function ancestorOf(store: Store, task: TaskManifest): Promise<Ancestor | undefined> {
  if (task.ancestors.length === 0) return undefined;
  const hashes = task.ancestors.map(bytesToHex);
  const found = (await store.tasks()).filter(({ manifest }) => hashes.includes(bytesToHex(manifest)));
  const rounds = await Promise.all(found.map(({ taskId }) => store.contributed(taskId)));
  const contributed = rounds.reduce((last, round) => (round === undefined || (last ?? round) > round ? last : round), undefined);
  const place = ({ manifest }: KnownTask) => hashes.indexOf(bytesToHex(manifest));
  // If two tasks have the same manifest, the one that was adopted last stands.
  for (const { taskId, recommender, catalogue: data } of found.reverse().sort((left, right) => place(left) - place(right))) {
    const state = await store.private(taskId);
    if (state !== undefined) return { recommender, state, items: data && catalogue(data), contributed };
  }
  return contributed === undefined ? undefined : { recommender: "", state: undefined, items: undefined, contributed };
}

/** The model may come from an earlier round of the ancestor than the contribution, so this may be -1. */
function before(model: Model, ancestor: Ancestor | undefined): bigint | undefined {
  const last = model.round - 1n;
  return ancestor?.contributed !== undefined && ancestor.contributed > last ? last : ancestor?.contributed;
}

/**
 * Carries private tensors over by name; where they have numbers for each item, these follow the items.
 *
 * @param items the ids of the task's catalogue, in row order.
 * @param old the ancestor's state.
 * @param fresh the state that a client of the task starts with.
 */
export function carriedState(
  task: TaskManifest,
  items: readonly string[],
  ancestor: Pick<Ancestor, "recommender" | "items">,
  old: PrivateState,
  fresh: PrivateState,
): CarriedState {
  const way = new Succession(ancestor.items ?? items, items);
  const parts = { values: new Map(fresh.values), first: new Map(fresh.first), second: new Map(fresh.second) };
  const tensors: string[] = [];
  for (const spec of ancestor.recommender === task.model ? privateOf(task) : []) {
    const lost = ancestor.items === undefined && axisOf(spec) !== undefined;
    if (lost || !old.values.has(spec.name)) continue;
    const carry = (part: keyof typeof parts): Tensor | undefined =>
      way.carried(spec, old[part].get(spec.name)!, fresh[part].get(spec.name)!);
    const [values, first, second] = [carry("values"), carry("first"), carry("second")];
    if (values === undefined || first === undefined || second === undefined) continue;
    parts.values.set(spec.name, values);
    parts.first.set(spec.name, first);
    parts.second.set(spec.name, second);
    tensors.push(spec.name);
  }
  const anew = tensors.length === 0 && privateOf(task).length > 0;
  return { state: { ...parts, steps: anew ? fresh.steps : old.steps }, tensors };
}
