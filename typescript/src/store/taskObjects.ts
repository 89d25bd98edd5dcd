/** What IndexedDB keeps by task. An object that replaces another gets a new key, so the newest one has the highest. */
import { type KnownTask, TASKS } from "../protocol/values.js";
import { answer, type Objects, ONLY } from "./objects.js";

/** A packed private state. */
export interface KeptPrivate {
  readonly taskId: string;
  readonly state: Uint8Array;
}

/** What personal steps have made, with the state packed. */
export interface KeptPersonal {
  readonly taskId: string;
  readonly steps: number;
  readonly state: Uint8Array | undefined;
  readonly checkpoint: Uint8Array | undefined;
  readonly recorded: number;
}

/** Returns the object of a task. */
export function find<T>(store: IDBObjectStore, taskId: string): Promise<T | undefined> {
  return answer<T | undefined>(store.index("taskId").get(taskId));
}

/** Keeps a private state, and those of at most `TASKS` tasks. */
export async function keepPrivate(objects: Objects, kept: KeptPrivate): Promise<void> {
  const store = objects("private");
  await replace(store, kept);
  for (const key of (await answer(store.getAllKeys())).slice(0, -TASKS)) store.delete(key);
}

/** Keeps what personal steps have made, with the states of at most `TASKS` tasks. */
export async function keepPersonal(objects: Objects, kept: KeptPersonal): Promise<void> {
  const store = objects("personal");
  await replace(store, kept);
  await withoutStates(store, (await answer(store.getAllKeys())).slice(0, -TASKS));
}

/** Forgets all personal states, but not the numbers of steps. */
export async function forgetPersonal(objects: Objects): Promise<void> {
  await withoutStates(objects("personal"), await answer(objects("personal").getAllKeys()));
}

/** Notes a task unless it is known, and forgets what nobody needs any more. */
export async function know(objects: Objects, task: KnownTask): Promise<void> {
  const store = objects("tasks");
  if ((await find(store, task.taskId)) === undefined) store.add(task);
  const model: KnownTask | undefined = await answer(objects("model").get(ONLY));
  const states: KeptPrivate[] = await answer(objects("private").getAll());
  const current = new Set([model?.taskId, ...states.map(({ taskId }) => taskId)]);
  const contributed = new Set(await answer(objects("contributed").getAllKeys()));
  const [keys, all] = await Promise.all([answer(store.getAllKeys()), answer<KnownTask[]>(store.getAll())]);
  all.forEach((known, place) => {
    if (current.has(known.taskId)) return;
    if (contributed.has(known.taskId)) store.put({ ...known, catalogue: undefined }, keys[place]);
    else store.delete(keys[place]!);
  });
}

async function replace(store: IDBObjectStore, kept: { readonly taskId: string }): Promise<void> {
  const before = await answer(store.index("taskId").getKey(kept.taskId));
  if (before !== undefined) store.delete(before);
  store.add(kept);
}

async function withoutStates(store: IDBObjectStore, keys: readonly IDBValidKey[]): Promise<void> {
  for (const key of keys) {
    const kept: KeptPersonal = await answer(store.get(key));
    store.put({ ...kept, state: undefined, checkpoint: undefined }, key);
  }
}
