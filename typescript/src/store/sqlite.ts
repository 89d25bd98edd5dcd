/** A client's state in a folder, for Node: a SQLite database and blobs beside it. */
import Database from "better-sqlite3";
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { StoreClosedError, StoreError, StoreLockedError, StoreVersionError } from "../errors.js";
import { type Resource, ResourceSchema, TaskManifestSchema } from "../gen/fedau2/v1/task_pb.js";
import { parts } from "../protocol/fetching.js";
import type { ClientStore } from "../protocol/interfaces.js";
import { type Model, packState, type PrivateState, type Staged, unpackState } from "../protocol/values.js";
import { BlobFolder, bytesOf } from "./blobFolder.js";

const VERSION = 1;
const TASKS = 8;
const OWNER = 0o700;
const SCHEMA = `
  CREATE TABLE client (one INTEGER PRIMARY KEY CHECK (one = 1), key BLOB NOT NULL);
  CREATE TABLE interactions (item TEXT NOT NULL, time INTEGER NOT NULL);
  CREATE INDEX interactions_by_item ON interactions (item);
  CREATE INDEX interactions_by_time ON interactions (time);
  CREATE TABLE attributes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
  CREATE TABLE private (task_id TEXT PRIMARY KEY, state BLOB NOT NULL);
  CREATE TABLE contributed (task_id TEXT PRIMARY KEY, round INTEGER NOT NULL);
  CREATE TABLE staged (one INTEGER PRIMARY KEY CHECK (one = 1), assignment_id BLOB NOT NULL, task_id TEXT NOT NULL,
    round INTEGER NOT NULL, contribution BLOB NOT NULL, state BLOB NOT NULL, attributes TEXT NOT NULL);
  CREATE TABLE model (one INTEGER PRIMARY KEY CHECK (one = 1), task_id TEXT NOT NULL, round INTEGER NOT NULL,
    manifest BLOB NOT NULL, checkpoint BLOB NOT NULL, time INTEGER NOT NULL);
`;

type Row = Record<string, Buffer & string & bigint>;

/** The `ClientStore` of one device. Every change is one transaction, durable when the method returns. */
export class SqliteStore implements ClientStore {
  private readonly database: Database.Database;
  private readonly blobs: BlobFolder;

  /**
   * @param folder made if it does not exist, for its owner only, because it holds the client's secrets.
   * @param most most interactions that are kept; with more, those with the oldest times are dropped.
   * @throws StoreLockedError another client has opened it.
   * @throws StoreVersionError a newer SDK wrote it.
   * @throws StoreError it cannot be used.
   */
  constructor(
    folder: string,
    private readonly most: number,
  ) {
    let database: Database.Database | undefined;
    try {
      mkdirSync(folder, { recursive: true, mode: OWNER });
      this.blobs = new BlobFolder(join(folder, "blobs"));
      this.database = database = new Database(join(folder, "state.db"), { timeout: 0 });
      this.prepare();
    } catch (error) {
      database?.close();
      if (error instanceof StoreError) throw error;
      const locked = (error as { code?: string }).code?.startsWith("SQLITE_BUSY");
      if (locked) throw new StoreLockedError(`${folder} is open already, here or in another process: close it there first`);
      throw new StoreError(`the state folder ${folder} cannot be used: ${(error as Error).message}`);
    }
  }

  close(): void {
    this.database.close();
  }

  private prepare(): void {
    const { database } = this;
    for (const setting of ["locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"]) {
      database.pragma(setting);
    }
    database.defaultSafeIntegers();
    const version = Number(database.pragma("user_version", { simple: true }));
    if (version > VERSION) throw new StoreVersionError("the state was written by a newer SDK: update the app");
    database.transaction(() => {
      if (version === 0) {
        database.exec(SCHEMA);
        this.run("INSERT INTO client VALUES (1, ?)", randomBytes(16));
      }
      database.pragma(`user_version = ${VERSION}`);
    }).immediate();
  }

  async record(interactions: readonly (readonly [string, number])[]): Promise<void> {
    this.transaction(() => {
      for (const [item, time] of interactions) this.run("INSERT INTO interactions VALUES (?, ?)", item, BigInt(time));
      const oldest = "SELECT rowid FROM interactions ORDER BY time DESC, rowid DESC LIMIT -1 OFFSET ?";
      this.run(`DELETE FROM interactions WHERE rowid IN (${oldest})`, this.most);
    });
  }

  async recorded(): Promise<number> {
    return Number(this.one("SELECT count(*) AS count FROM interactions")!.count);
  }

  async setAttribute(name: string, value: string | undefined): Promise<void> {
    if (value === undefined) {
      this.transaction(() => this.run("DELETE FROM attributes WHERE name = ?", name));
      this.database.pragma("wal_checkpoint(TRUNCATE)"); // so that no trace of it stays
    } else {
      this.transaction(() => this.run("INSERT OR REPLACE INTO attributes VALUES (?, ?)", name, value));
    }
  }

  async key(): Promise<Uint8Array> {
    return bytesOf(this.one("SELECT key FROM client")!.key!);
  }

  async items(): Promise<string[]> {
    return this.all("SELECT DISTINCT item FROM interactions").map(({ item }) => item!);
  }

  async attribute(name: string): Promise<string | undefined> {
    return this.one("SELECT value FROM attributes WHERE name = ?", name)?.value;
  }

  async private(taskId: string): Promise<PrivateState | undefined> {
    const row = this.one("SELECT state FROM private WHERE task_id = ?", taskId);
    return row && unpackState(row.state!);
  }

  async contributed(taskId: string): Promise<bigint | undefined> {
    return this.one("SELECT round FROM contributed WHERE task_id = ?", taskId)?.round;
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
    const row = this.one("SELECT * FROM model");
    if (row === undefined) return undefined;
    const [manifest, checkpoint] = [row.manifest!, row.checkpoint!].map((data) => fromBinary(ResourceSchema, data));
    return { taskId: row.task_id!, round: row.round!, manifest: manifest!, checkpoint: checkpoint! };
  }

  async renewed(): Promise<number | undefined> {
    const row = this.one("SELECT time FROM model");
    return row && Number(row.time);
  }

  async adopt(model: Model, addresses: readonly Resource[]): Promise<void> {
    const named = [model.manifest, model.checkpoint].map((address) => toBinary(ResourceSchema, address));
    const statement = "INSERT OR REPLACE INTO model VALUES (1, ?, ?, ?, ?, ?)";
    this.transaction(() => this.run(statement, model.taskId, model.round, ...named, BigInt(Date.now())));
    this.blobs.keepOnly(addresses);
  }

  async staged(): Promise<Staged | undefined> {
    const row = this.one("SELECT * FROM staged");
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
    this.transaction(() => {
      if (this.one("SELECT 1 FROM staged")) throw new StoreError("a contribution is staged already");
      const fields = [assignmentId, taskId, round, contribution, packState(state), JSON.stringify(attributes)];
      this.run("INSERT INTO staged VALUES (1, ?, ?, ?, ?, ?, ?)", ...fields);
    });
  }

  async promote(assignmentId: Uint8Array): Promise<void> {
    const newest = "SELECT rowid FROM private ORDER BY rowid DESC LIMIT ?"; // a replaced row gets a new number
    this.transaction(() => {
      this.run("INSERT OR REPLACE INTO private SELECT task_id, state FROM staged WHERE assignment_id = ?", assignmentId);
      this.run(`DELETE FROM private WHERE rowid NOT IN (${newest})`, TASKS);
      this.run("INSERT OR REPLACE INTO contributed SELECT task_id, round FROM staged");
      this.unstage(assignmentId);
    });
  }

  async discard(assignmentId: Uint8Array): Promise<void> {
    this.transaction(() => this.unstage(assignmentId));
  }

  private unstage(assignmentId: Uint8Array): void {
    const { changes } = this.database.prepare("DELETE FROM staged WHERE assignment_id = ?").run(assignmentId);
    if (changes !== 1) throw new StoreError("nothing is staged for the assignment");
  }

  private transaction(work: () => void): void {
    this.guarded(() => this.database.transaction(work).immediate());
  }

  private run(statement: string, ...values: unknown[]): void {
    this.database.prepare(statement).run(...values);
  }

  private one(query: string, ...values: unknown[]): Row | undefined {
    return this.guarded(() => this.database.prepare(query).get(...values) as Row | undefined);
  }

  private all(query: string): Row[] {
    return this.guarded(() => this.database.prepare(query).all() as Row[]);
  }

  private guarded<T>(work: () => T): T {
    if (!this.database.open) throw new StoreClosedError("the client is closed: open another");
    try {
      return work();
    } catch (error) {
      if (error instanceof StoreError) throw error;
      throw new StoreError(`the client's state cannot be used: ${(error as Error).message}`);
    }
  }
}
