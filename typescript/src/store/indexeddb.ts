/** A client's state in a browser: a database of IndexedDB, which one tab uses at a time. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { StoreError } from "../errors.js";
import { type Resource, ResourceSchema, TaskManifestSchema } from "../gen/fedau2/v1/task_pb.js";
import { parts } from "../protocol/fetching.js";
import type { Store } from "../protocol/interfaces.js";
import {
  type Adoption,
  type Interaction,
  type KnownTask,
  type Model,
  packState,
  type Personal,
  type PrivateState,
  type Staged,
  unpackState,
} from "../protocol/values.js";
import { fits, nameOf, same } from "../wire/blobs.js";
import * as interactions from "./interactionObjects.js";
import { answer, type Browser, ObjectDatabase, ONLY, type Objects } from "./objects.js";
import * as tasks from "./taskObjects.js";

type Kept = Omit<Staged, "state"> & { readonly state: Uint8Array };

interface KeptModel {
  readonly taskId: string;
  readonly round: bigint;
  readonly manifest: Uint8Array;
  readonly checkpoint: Uint8Array;
  readonly time: number;
}

/** The `Store` of one device. Every change is one transaction, durable when its promise is fulfilled. */
export class IndexedDbStore implements Store {
  private constructor(
    private readonly database: ObjectDatabase,
    private readonly most: number,
  ) {}

  /**
   * @param name of the database, made if it does not exist.
   * @param most most interactions that are kept; with more, those with the oldest times are dropped.
   * @throws StoreLockedError another tab has opened it.
   * @throws StoreVersionError a newer SDK wrote it.
   * @throws StoreLostError the browser has removed it or a part of it.
   * @throws StoreError it cannot be used.
   */
  static async open(name: string, most: number, browser: Browser): Promise<IndexedDbStore> {
    return new IndexedDbStore(await ObjectDatabase.open(name, browser), most);
  }

  close(): Promise<void> {
    return this.database.close();
  }

  interactions(): Promise<Interaction[]> {
    return this.database.read(["interactions"], (objects) => answer<Interaction[]>(objects("interactions").getAll()));
  }

  ever(): Promise<number> {
    return this.database.read(["client", "interactions"], interactions.ever);
  }

  record(added: readonly Interaction[]): Promise<number> {
    return this.database.write(["client", "interactions"], (objects) => interactions.add(objects, added, this.most));
  }

  async leastSequences(population: string): Promise<Map<string, number>> {
    return new Map(Object.entries((await this.get<Record<string, number>>("releases", population)) ?? {}));
  }

  raiseSequence(population: string, publisher: string, sequence: number): Promise<void> {
    return this.database.write(["releases"], async (objects) => {
      const store = objects("releases");
      const least: Record<string, number> = (await answer(store.get(population))) ?? {};
      store.put({ ...least, [publisher]: Math.max(least[publisher] ?? 0, sequence) }, population);
    });
  }

  forget(item: string, time?: number): Promise<number> {
    return this.database.write(["interactions", "staged", "contributed", "personal"], async (objects) => {
      const count = await interactions.remove(objects, item, time);
      if (count === 0) return count;
      const staged: Kept | undefined = await answer(objects("staged").get(ONLY));
      if (staged !== undefined) objects("contributed").put(staged.round, staged.taskId);
      objects("staged").clear();
      await tasks.forgetPersonal(objects);
      return count;
    });
  }

  async setAttribute(name: string, value: string | undefined): Promise<void> {
    if (value === undefined) await this.database.write(["attributes"], (all) => answer(all("attributes").delete(name)));
    else await this.put("attributes", name, value);
  }

  attribute(name: string): Promise<string | undefined> {
    return this.get("attributes", name);
  }

  async key(): Promise<Uint8Array> {
    return (await this.get<Uint8Array>("client", ONLY))!;
  }

  async private(taskId: string): Promise<PrivateState | undefined> {
    const row = await this.database.read(["private"], (objects) => tasks.find<{ state: Uint8Array }>(objects("private"), taskId));
    return row && unpackState(row.state);
  }

  async personal(taskId: string): Promise<Personal | undefined> {
    const row = await this.database.read(["personal"], (objects) => tasks.find<tasks.KeptPersonal>(objects("personal"), taskId));
    if (row === undefined) return undefined;
    const { steps, state, checkpoint, recorded } = row;
    return { steps, state: state && unpackState(state), checkpoint, recorded };
  }

  async keepPersonal(taskId: string, personal: Personal): Promise<void> {
    const row = { ...personal, taskId, state: personal.state && packState(personal.state) };
    await this.database.write(["personal"], (objects) => tasks.keepPersonal(objects, row));
  }

  contributed(taskId: string): Promise<bigint | undefined> {
    return this.get("contributed", taskId);
  }

  async blob(address: Resource): Promise<Uint8Array | undefined> {
    const data = await this.get<Uint8Array>("blobs", nameOf(address));
    return data !== undefined && fits(data, address) ? data : undefined;
  }

  async keepBlob(address: Resource, data: Uint8Array): Promise<void> {
    await this.database.write(["blobs", "parts"], async (objects) => {
      objects("parts").delete(nameOf(address));
      await answer(objects("blobs").put(data.slice(), nameOf(address))); // without the rest of its memory
    });
  }

  async part(address: Resource): Promise<Uint8Array> {
    const data = (await this.get<Uint8Array>("parts", nameOf(address))) ?? new Uint8Array();
    return BigInt(data.length) > address.size ? new Uint8Array() : data;
  }

  async keepPart(address: Resource, data: Uint8Array): Promise<void> {
    await this.database.write(["parts"], async (objects) => {
      await answer(objects("parts").clear());
      if (data.length > 0) await answer(objects("parts").put(data.slice(), nameOf(address)));
    });
  }

  async makeRoom(addresses: readonly Resource[]): Promise<void> {
    await this.keepOnly([...addresses, ...(await this.current())]);
  }

  /** Returns the blobs of the current model. */
  private async current(): Promise<Resource[]> {
    const model = await this.model();
    const data = model && (await this.blob(model.manifest));
    if (model === undefined || data === undefined) return [];
    return [model.manifest, ...parts(model, fromBinary(TaskManifestSchema, data))];
  }

  private async keepOnly(addresses: readonly Resource[]): Promise<void> {
    await this.database.write(["blobs", "parts"], (objects) => keepOnly(objects, addresses));
  }

  async model(): Promise<Model | undefined> {
    const row = await this.get<KeptModel>("model", ONLY);
    if (row === undefined) return undefined;
    const [manifest, checkpoint] = [row.manifest, row.checkpoint].map((data) => fromBinary(ResourceSchema, data));
    return { taskId: row.taskId, round: row.round, manifest: manifest!, checkpoint: checkpoint! };
  }

  async renewed(): Promise<number | undefined> {
    return (await this.get<KeptModel>("model", ONLY))?.time;
  }

  async adopt({ model, blobs, task, carried }: Adoption): Promise<void> {
    const [manifest, checkpoint] = [model.manifest, model.checkpoint].map((address) => toBinary(ResourceSchema, address));
    const { taskId, round } = model;
    await this.database.write(["model", "private", "contributed", "tasks", "blobs", "parts"], async (objects) => {
      objects("model").put({ taskId, round, manifest, checkpoint, time: Date.now() }, ONLY);
      if (carried?.state !== undefined) await tasks.keepPrivate(objects, { taskId, state: packState(carried.state) });
      if (carried?.contributed !== undefined) objects("contributed").add(carried.contributed, taskId);
      await tasks.know(objects, task);
      await keepOnly(objects, blobs);
    });
  }

  tasks(): Promise<KnownTask[]> {
    return this.database.read(["tasks"], (objects) => answer<KnownTask[]>(objects("tasks").getAll()));
  }

  async staged(): Promise<Staged | undefined> {
    const row = await this.get<Kept>("staged", ONLY);
    return row && { ...row, state: unpackState(row.state) };
  }

  async stage(staged: Staged): Promise<void> {
    const row: Kept = { ...staged, state: packState(staged.state) };
    await this.database.write(["staged"], async (objects) => {
      if ((await answer(objects("staged").count())) > 0) throw new StoreError("a contribution is staged already");
      await answer(objects("staged").add(row, ONLY));
    });
  }

  async promote(assignmentId: Uint8Array): Promise<void> {
    await this.database.write(["staged", "private", "contributed"], async (objects) => {
      const { taskId, round, state } = await unstage(objects, assignmentId);
      await tasks.keepPrivate(objects, { taskId, state });
      objects("contributed").put(round, taskId);
    });
  }

  async discard(assignmentId: Uint8Array): Promise<void> {
    await this.database.write(["staged"], (objects) => unstage(objects, assignmentId));
  }

  private get<T>(store: string, key: IDBValidKey): Promise<T | undefined> {
    return this.database.read([store], (objects) => answer<T | undefined>(objects(store).get(key)));
  }

  private async put(store: string, key: IDBValidKey, value: unknown): Promise<void> {
    await this.database.write([store], (objects) => answer(objects(store).put(value, key)));
  }
}

/** Removes what is staged for an assignment, and returns it. */
async function unstage(objects: Objects, assignmentId: Uint8Array): Promise<Kept> {
  const row: Kept | undefined = await answer(objects("staged").get(ONLY));
  if (row === undefined || !same(row.assignmentId, assignmentId)) throw new StoreError("nothing is staged for the assignment");
  await answer(objects("staged").delete(ONLY));
  return row;
}

async function keepOnly(objects: Objects, addresses: readonly Resource[]): Promise<void> {
  const kept = new Set<IDBValidKey>(addresses.map(nameOf));
  for (const store of [objects("blobs"), objects("parts")]) {
    for (const key of await answer(store.getAllKeys())) if (!kept.has(key)) store.delete(key);
  }
}
