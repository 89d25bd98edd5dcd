/** Blobs as files named by their hash, written whole or not at all and checked when read. */
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { StoreError } from "../errors.js";
import type { Resource } from "../gen/fedau2/v1/task_pb.js";
import { fits, nameOf } from "../wire/blobs.js";

const PART = ".part";
/** Names of blobs, of their parts, and of what a crash left half written. Other files are not the SDK's, and stay. */
const NAME = /^[0-9a-f]{64}(\.part)?(\.tmp)?$/;

/** Returns the bytes of a Buffer of Node, whose methods differ from those of other byte strings. */
export function bytesOf(data: Buffer): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.length);
}

/** A folder of blobs and of at most one part of a blob. Its methods throw `StoreError` if the disk fails. */
export class BlobFolder {
  /** @param folder made if it does not exist, for its owner only. */
  constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  /** Returns a blob; undefined if it is missing or damaged. */
  get(address: Resource): Uint8Array | undefined {
    const data = this.read(nameOf(address));
    return data !== undefined && fits(data, address) ? data : undefined;
  }

  /** Keeps a blob in place of its part; it is durable on return. */
  put(address: Resource, data: Uint8Array): void {
    this.write(nameOf(address), data);
    rmSync(join(this.folder, nameOf(address) + PART), { force: true });
  }

  /** Returns the first bytes of a blob that have come. */
  part(address: Resource): Uint8Array {
    const data = this.read(nameOf(address) + PART) ?? new Uint8Array();
    return BigInt(data.length) > address.size ? new Uint8Array() : data;
  }

  /** Keeps the first bytes of a blob, in place of the part of any other. */
  putPart(address: Resource, data: Uint8Array): void {
    for (const name of this.names()) if (name.endsWith(PART)) rmSync(join(this.folder, name));
    if (data.length > 0) this.write(nameOf(address) + PART, data);
  }

  /** Removes everything but these blobs and their parts. */
  keepOnly(addresses: readonly Resource[]): void {
    const kept = new Set(addresses.map(nameOf));
    for (const name of this.names()) {
      if (!kept.has(name.replace(PART, ""))) rmSync(join(this.folder, name));
    }
  }

  private names(): string[] {
    return readdirSync(this.folder).filter((name) => NAME.test(name));
  }

  private read(name: string): Uint8Array | undefined {
    try {
      return bytesOf(readFileSync(join(this.folder, name)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw new StoreError(`a blob cannot be read: ${(error as Error).message}`);
    }
  }

  private write(name: string, data: Uint8Array): void {
    const path = join(this.folder, name);
    try {
      const file = openSync(`${path}.tmp`, "w", 0o600);
      try {
        writeSync(file, data);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(`${path}.tmp`, path);
    } catch (error) {
      throw new StoreError(`a blob cannot be kept: ${(error as Error).message}`);
    }
  }
}
