/** A state folder's SQLite database, for one client at a time. */
import Database from "better-sqlite3";
import { StoreClosedError, StoreError } from "../errors.js";
import { expectOwn, upgrade } from "./schema.js";

/** A row by column: whole numbers are bigints. */
export type Row = Record<string, Buffer & string & bigint & number>;

/** The database. Its methods throw `StoreError` if SQLite fails, and `StoreClosedError` once it is closed. */
export class StateDatabase {
  private readonly database: Database.Database;

  /**
   * @param fresh it may be without tables, and then gets them, and a secret key.
   * @throws Error SQLite's, if it cannot be opened.
   * @throws StoreVersionError a newer SDK wrote it.
   * @throws StoreLostError it has lost its tables.
   * @throws StoreError another program wrote it.
   */
  constructor(path: string, fresh: boolean) {
    this.database = new Database(path, { timeout: 0 });
    try {
      this.database.pragma("locking_mode = EXCLUSIVE");
      this.database.transaction(() => expectOwn(this.database, fresh)).immediate();
      for (const setting of ["journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"]) {
        this.database.pragma(setting);
      }
      this.database.defaultSafeIntegers();
      this.database.transaction(() => upgrade(this.database)).immediate();
    } catch (error) {
      this.database.close();
      throw error;
    }
  }

  close(): void {
    this.database.close();
  }

  /** Runs work that is done whole or not at all, and returns its result. */
  transaction<T>(work: () => T): T {
    return this.guarded(() => this.database.transaction(work).immediate());
  }

  /** Removes deleted rows from the files too. */
  scrub(): void {
    this.guarded(() => this.database.pragma("wal_checkpoint(TRUNCATE)"));
  }

  /** Runs a statement within a transaction, and returns how many rows it changed. */
  run(statement: string, ...values: unknown[]): number {
    return this.database.prepare(statement).run(...values).changes;
  }

  one(query: string, ...values: unknown[]): Row | undefined {
    return this.guarded(() => this.database.prepare(query).get(...values) as Row | undefined);
  }

  all(query: string, ...values: unknown[]): Row[] {
    return this.guarded(() => this.database.prepare(query).all(...values) as Row[]);
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
