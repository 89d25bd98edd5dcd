/** Reads the vectors of `conformance/`. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Samples } from "../src/draws/samples.js";
import type { Positives } from "../src/weights.js";

export const FOLDER = join(import.meta.dirname, "../../../conformance");

/** An array in JSON. */
export interface Packed {
  readonly dtype: "float32" | "float64" | "int64" | "uint32" | "uint64";
  readonly shape: number[];
  readonly data: string;
}

const TYPES = {
  float32: Float32Array,
  float64: Float64Array,
  int64: BigInt64Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
} as const;

/** Reads a file of vectors. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the tests say what they expect of each
export function vectors(name: string): any {
  return JSON.parse(readFileSync(join(FOLDER, `${name}.json`), "utf8"));
}

/** Returns bytes from base64, in memory of their own. */
export function bytes(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Returns the numbers of an array; whole ones of 64 bits as numbers. */
export function numbers({ dtype, data }: Packed): number[] {
  return Array.from(new TYPES[dtype](bytes(data).buffer as ArrayBuffer), Number);
}

/** Returns a value that JSON may lack. */
export function maybe<T, U>(value: T | null, read: (value: T) => U): U | undefined {
  return value === null ? undefined : read(value);
}

/** Returns the positives of a vector, with their weights if it has some. */
export function positivesOf({ interactions, weights }: { interactions: Packed; weights: Packed | null }): Positives {
  const rows = Uint32Array.from(numbers(interactions));
  return { rows, weights: maybe(weights, (packed) => Float32Array.from(numbers(packed))) };
}

/** Reads a file of a bundle. */
export function bundleFile(bundle: string, name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(FOLDER, "bundles", bundle, name)));
}

/** Compares numbers bit by bit. */
export function assertSame(found: ArrayLike<number>, expected: Packed): void {
  assert.deepEqual(Array.from(found), numbers(expected));
}

/** Compares the samples of all local steps bit by bit. */
export function assertSamples(found: readonly Samples[], expected: readonly Record<keyof Samples, Packed>[]): void {
  assert.equal(found.length, expected.length);
  found.forEach((samples, step) => {
    for (const name of ["items", "labels", "weights", "noise"] as const) assertSame(samples[name], expected[step]![name]);
  });
}

/** Largest difference in units of a tensor's largest value, for other machines and other releases of the runtime. */
const TOLERANCE = 1e-5;

/** Reads a blob of a bundle. */
export function blob(bundle: string, { sha256 }: { sha256: Uint8Array }): Uint8Array {
  return bundleFile(bundle, `blobs/${bytesToHex(sha256)}`);
}

/** Compares numbers closely. */
export function assertClose(found: Float32Array, expected: Float32Array, what: string): void {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12);
  const difference = found.reduce((most, value, place) => Math.max(most, Math.abs(value - expected[place]!)), 0);
  assert.ok(found.length === expected.length && difference <= TOLERANCE * largest, `${what}: ${difference / largest}`);
}
