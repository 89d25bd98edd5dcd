/** States of clients for transcripts, in a browser. */
import { IndexedDbStore } from "../../src/store/indexeddb.js";
import { answer, ObjectDatabase, ONLY } from "../../src/store/objects.js";
import type { Past, State } from "../states.js";
import { newOrigin } from "./origin.js";

const MOST = 1000;
const origin = newOrigin();
let states = 0;

/** Makes the state of a client with a past. */
export async function newState({ key, contributed, known }: Past): Promise<State> {
  const name = `state ${++states}`;
  await (await IndexedDbStore.open(name, MOST, origin)).close();
  const database = await answer(indexedDB.open(name));
  const objects = database.transaction(["client", "contributed", "tasks", "private"], "readwrite");
  await answer(objects.objectStore("client").put(key, ONLY));
  for (const [task, round] of contributed) await answer(objects.objectStore("contributed").put(BigInt(round), task));
  for (const { state, contributed: round, ...task } of known) {
    await answer(objects.objectStore("tasks").add(task));
    if (state !== undefined) await answer(objects.objectStore("private").add({ taskId: task.taskId, state }));
    if (round !== undefined) await answer(objects.objectStore("contributed").put(BigInt(round), task.taskId));
  }
  database.close();
  const store = await IndexedDbStore.open(name, MOST, origin);
  const remove = async () => {
    await store.close();
    await ObjectDatabase.remove(name, origin);
  };
  return { store, remove };
}
