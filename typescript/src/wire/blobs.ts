/** Content-addressed blobs. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { create } from "@bufbuild/protobuf";
import { DamagedTaskError, UnsupportedTaskError } from "../errors.js";
import { type Resource, ResourceSchema } from "../gen/fedau2/v1/task_pb.js";

/** Bytes of one streamed chunk. */
export const CHUNK = 256 * 1024;

/** Returns the address of data. */
export function resource(data: Uint8Array): Resource {
  return create(ResourceSchema, { sha256: sha256(data), size: BigInt(data.length) });
}

/** Returns the name of a blob: its hash in hexadecimal. */
export function nameOf(address: Resource): string {
  return bytesToHex(address.sha256);
}

/** Says whether `address` addresses data. */
export function fits(data: Uint8Array, address: Resource): boolean {
  return BigInt(data.length) === address.size && same(sha256(data), address.sha256);
}

/** Says whether two byte strings are equal. */
export function same(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, place) => byte === right[place]);
}

/** Says whether two addresses are equal. */
export function sameResource(left: Resource | undefined, right: Resource | undefined): boolean {
  return left !== undefined && right !== undefined && left.size === right.size && same(left.sha256, right.sha256);
}

/** Yields data from an offset on, in chunks. */
export function* chunks(data: Uint8Array, offset: number): Generator<Uint8Array> {
  for (let start = offset; start < data.length; start += CHUNK) yield data.subarray(start, start + CHUNK);
}

/**
 * Puts byte strings together.
 *
 * @throws DamagedTaskError they are more than `most` bytes.
 */
export function concatenated(parts: readonly Uint8Array[], most = Infinity): Uint8Array {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  if (size > most) throw new DamagedTaskError(`more bytes than the declared ${most}`);
  const whole = new Uint8Array(size);
  let start = 0;
  for (const part of parts) {
    whole.set(part, start);
    start += part.length;
  }
  return whole;
}

/**
 * Returns the item ids of a catalogue, in row order.
 *
 * @throws UnsupportedTaskError it is not UTF-8, or an id is empty or repeated.
 */
export function catalogue(data: Uint8Array): string[] {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    throw new UnsupportedTaskError("the item catalogue is not UTF-8");
  }
  const items = (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n");
  const empty = items.indexOf("");
  if (empty >= 0) throw new UnsupportedTaskError(`line ${empty + 1} of the item catalogue is empty`);
  if (new Set(items).size < items.length) throw new UnsupportedTaskError("the item catalogue lists an item twice");
  return items;
}
