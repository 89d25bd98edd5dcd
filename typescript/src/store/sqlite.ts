/** A client's state in a folder, for Node: a SQLite database and blobs beside it. */
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
  TASKS,
  unpackState,
} from "../protocol/values.js";
import { type BlobFolder, bytesOf } from "./blobFolder.js";
import type { Row, StateDatabase } from "./database.js";
import { openFolder } from "./folder.js";
import * as interactions from "./interactions.js";
import * as lineage from "./lineage.js";
import * as releases from "./releases.js";

/** The `Store` of one device. */
export class SqliteStore implements Store {
  private readonly database: StateDatabase;
  private readonly blobs: BlobFolder;

  /**
   * @param folder made if it does not exist, for its owner only, because it holds the client's secrets.
   * @param most most interactions that are kept.
   * @throws StoreLockedError another client has opened it.
   * @throws StoreVersionError a newer SDK wrote it.
   * @throws StoreLostError it has lost its database.
   * @throws StoreError it is not a client's, or cannot be used.
   */
  constructor(
    folder: string,
    private readonly most: number,
  ) {
    const { database, blobs } = openFolder(folder);
    this.database = database;
    this.blobs = blobs;
  }

  async close(): Promise<void> {
    this.database.close();
  }

  async key(): Promise<Uint8Array> {
    return bytesOf(this.database.one("SELECT key FROM client")!.key!);
  }

  async interactions(): Promise<Interaction[]> {
    return interactions.all(this.database);
  }

  async ever(): Promise<number> {
    return interactions.ever(this.database);
  }

  async record(added: readonly Interaction[]): Promise<number> {
    return this.database.transaction(() => interactions.add(this.database, added, this.most));
  }

  async leastSequences(population: string): Promise<Map<string, number>> {
    return releases.least(this.database, population);
  }

  async raiseSequence(population: string, publisher: string, sequence: number): Promise<void> {
    this.database.transaction(() => releases.raise(this.database, population, publisher, sequence));
  }

  async forget(item: string, time?: number): Promise<number> {
    const { database } = this;
    const removed = database.transaction(() => {
      const count = interactions.remove(database, item, time);
      if (count === 0) return count;
      this.count();
      database.run("DELETE FROM staged");
      database.run("UPDATE personal SET state = NULL, checkpoint = NULL");
      return count;
    });
    database.scrub();
    return removed;
  }

  async attribute(name: string): Promise<string | undefined> {
    return this.database.one("SELECT value FROM attributes WHERE name = ?", name)?.value;
  }

  async setAttribute(name: string, value: string | undefined): Promise<void> {
    const { database } = this;
    if (value === undefined) {
      database.transaction(() => database.run("DELETE FROM attributes WHERE name = ?", name));
      database.scrub();
    } else {
      database.transaction(() => database.run("INSERT OR REPLACE INTO attributes VALUES (?, ?)", name, value));
    }
  }

  async private(taskId: string): Promise<PrivateState | undefined> {
    return stateOf(this.database.one("SELECT state FROM private WHERE task_id = ?", taskId));
  }

  async contributed(taskId: string): Promise<bigint | undefined> {
    return this.database.one("SELECT round FROM contributed WHERE task_id = ?", taskId)?.round;
  }

  async personal(taskId: string): Promise<Personal | undefined> {
    const row = this.database.one("SELECT * FROM personal WHERE task_id = ?", taskId);
    if (row === undefined) return undefined;
    const checkpoint = row.checkpoint ? bytesOf(row.checkpoint) : undefined;
    return { steps: Number(row.steps), state: stateOf(row), checkpoint, recorded: Number(row.recorded) };
  }

  async keepPersonal(taskId: string, { steps, state, checkpoint, recorded }: Personal): Promise<void> {
    const { database } = this;
    const fields = [taskId, steps, state && packState(state), checkpoint, recorded];
    database.transaction(() => {
      database.run("INSERT OR REPLACE INTO personal VALUES (?, ?, ?, ?, ?)", ...fields);
      database.run(`UPDATE personal SET state = NULL, checkpoint = NULL WHERE rowid NOT IN (${newest("personal")})`);
    });
  }

  async blob(address: Resource): Promise<Uint8Array | undefined> {
    return this.blobs.get(address);
  }

  async keepBlob(address: Resource, data: Uint8Array): Promise<void> {
    this.blobs.put(address, data);
  }

  async part(address: Resource): Promise<Uint8Array> {
    return this.blobs.part(address);
  }

  async keepPart(address: Resource, data: Uint8Array): Promise<void> {
    this.blobs.putPart(address, data);
  }

  async makeRoom(addresses: readonly Resource[]): Promise<void> {
    this.blobs.keepOnly([...addresses, ...(await this.current())]);
  }

  /** Returns the blobs of the current model. */
  private async current(): Promise<Resource[]> {
    const model = await this.model();
    const data = model && this.blobs.get(model.manifest);
    if (model === undefined || data === undefined) return [];
    return [model.manifest, ...parts(model, fromBinary(TaskManifestSchema, data))];
  }

  async model(): Promise<Model | undefined> {
    const row = this.database.one("SELECT * FROM model");
    if (row === undefined) return undefined;
    const [manifest, checkpoint] = [row.manifest!, row.checkpoint!].map((data) => fromBinary(ResourceSchema, data));
    return { taskId: row.task_id!, round: row.round!, manifest: manifest!, checkpoint: checkpoint! };
  }

  async renewed(): Promise<number | undefined> {
    const row = this.database.one("SELECT time FROM model");
    return row && Number(row.time);
  }

  async adopt({ model, blobs, task, carried }: Adoption): Promise<void> {
    const { database } = this;
    const named = [model.manifest, model.checkpoint].map((address) => toBinary(ResourceSchema, address));
    database.transaction(() => {
      const now = BigInt(Date.now());
      database.run("INSERT OR REPLACE INTO model VALUES (1, ?, ?, ?, ?, ?)", model.taskId, model.round, ...named, now);
      if (carried?.state !== undefined) this.keepPrivate("VALUES (?, ?)", model.taskId, packState(carried.state));
      if (carried?.contributed !== undefined) {
        database.run("INSERT INTO contributed VALUES (?, ?)", model.taskId, carried.contributed);
      }
      lineage.know(database, task);
    });
    this.blobs.keepOnly(blobs);
  }

  async tasks(): Promise<KnownTask[]> {
    return lineage.tasks(this.database);
  }

  async staged(): Promise<Staged | undefined> {
    const row = this.database.one("SELECT * FROM staged");
    return (
      row && {
        assignmentId: bytesOf(row.assignment_id!),
        taskId: row.task_id!,
        round: row.round!,
        contribution: bytesOf(row.contribution!),
        state: unpackState(row.state!),
        attributes: JSON.parse(row.attributes!) as string[],
      }
    );
  }

  async stage(staged: Staged): Promise<void> {
    const { assignmentId, taskId, round, contribution, state, attributes } = staged;
    this.database.transaction(() => {
      if (this.database.one("SELECT 1 FROM staged")) throw new StoreError("a contribution is staged already");
      const fields = [assignmentId, taskId, round, contribution, packState(state), JSON.stringify(attributes)];
      this.database.run("INSERT INTO staged VALUES (1, ?, ?, ?, ?, ?, ?)", ...fields);
    });
  }

  async promote(assignmentId: Uint8Array): Promise<void> {
    this.database.transaction(() => {
      this.keepPrivate("SELECT task_id, state FROM staged WHERE assignment_id = ?", assignmentId);
      this.count();
      this.unstage(assignmentId);
    });
  }

  async discard(assignmentId: Uint8Array): Promise<void> {
    this.database.transaction(() => this.unstage(assignmentId));
  }

  private keepPrivate(source: string, ...values: unknown[]): void {
    this.database.run(`INSERT OR REPLACE INTO private ${source}`, ...values);
    this.database.run(`DELETE FROM private WHERE rowid NOT IN (${newest("private")})`);
  }

  /** Enters the round of what is staged as contributed. */
  private count(): void {
    this.database.run("INSERT OR REPLACE INTO contributed SELECT task_id, round FROM staged");
  }

  private unstage(assignmentId: Uint8Array): void {
    const changes = this.database.run("DELETE FROM staged WHERE assignment_id = ?", assignmentId);
    if (changes !== 1) throw new StoreError("nothing is staged for the assignment");
  }
}

/** Gives the rows of a table by task that are to be kept. A replaced row gets a new number. */
function newest(table: string): string {
  return `SELECT rowid FROM ${table} ORDER BY rowid DESC LIMIT ${TASKS}`;
}

function stateOf(row: Row | undefined): PrivateState | undefined {
  return row?.state ? unpackState(row.state) : undefined;
}
