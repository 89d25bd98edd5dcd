/** A client's state folder: whose it is, and the names of its parts. */
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { StoreError, StoreLockedError, StoreLostError } from "../errors.js";
import { BlobFolder } from "./blobFolder.js";
import { StateDatabase } from "./database.js";
import { claim } from "./instance.js";

const [BLOBS, DATABASE, INSTANCE] = ["blobs", "state.db", "instance"];
/** Parts that a first opening may leave if it is cut off while the database is still empty. */
const FIRST: ReadonlySet<string> = new Set([DATABASE, `${DATABASE}-journal`, INSTANCE]);
const OURS: ReadonlySet<string> = new Set([...FIRST, `${DATABASE}-wal`, `${DATABASE}-shm`, BLOBS]);

/** The parts of an open state folder. */
export interface StateFolder {
  readonly database: StateDatabase;
  readonly blobs: BlobFolder;
}

/**
 * Opens a state folder. It is made if it does not exist, for its owner only, because it holds the client's secrets.
 *
 * @throws StoreLockedError another client has opened it.
 * @throws StoreVersionError a newer SDK wrote it.
 * @throws StoreLostError it has lost its database.
 * @throws StoreError it is not a client's, or cannot be used.
 */
export function openFolder(folder: string): StateFolder {
  let database: StateDatabase | undefined;
  try {
    const fresh = checked(folder);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const name of [DATABASE, INSTANCE]) closeSync(openSync(join(folder, name), "a", 0o600));
    database = new StateDatabase(join(folder, DATABASE), fresh);
    restrict(folder);
    claim(database, join(folder, INSTANCE));
    return { database, blobs: new BlobFolder(join(folder, BLOBS)) };
  } catch (error) {
    database?.close();
    throw typed(folder, error);
  }
}

/**
 * Looks at a folder and touches nothing. Returns true if no client has ever been opened in it.
 *
 * @throws StoreLostError it has lost its database.
 * @throws StoreError it holds something else.
 */
function checked(folder: string): boolean {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const path = join(folder, DATABASE);
  if (!existsSync(path) || statSync(path).size === 0) {
    const foreign = names.filter((name) => !OURS.has(name)).sort()[0];
    if (foreign !== undefined) {
      throw new StoreError(
        `${folder} is not a client's state folder, because it holds ${foreign} and no ${DATABASE}: give the client an ` +
          "empty folder, or one that does not exist",
      );
    }
    if (names.some((name) => !FIRST.has(name))) {
      throw new StoreLostError(
        `${path} is missing or empty, and the rest of the client's state is there: put the whole folder back from a ` +
          "copy. To start afresh as a new user, move the folder away",
      );
    }
  }
  return !names.includes(BLOBS);
}

/** Leaves the database to its owner, also where an older SDK made it. */
function restrict(folder: string): void {
  for (const name of readdirSync(folder)) if (OURS.has(name) && name !== BLOBS) chmodSync(join(folder, name), 0o600);
}

function typed(folder: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { code, message } = error as { code?: string; message: string };
  if (code?.startsWith("SQLITE_BUSY")) {
    return new StoreLockedError(`${folder} is open already, here or in another process: close it there first`);
  }
  return new StoreError(`the state folder ${folder} cannot be used: ${message}`);
}
