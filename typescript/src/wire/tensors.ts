/** Named float32 tensors, and safetensors files of them. */
import { DamagedTaskError } from "../errors.js";

/** A float32 tensor, row by row. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export type Tensors = Map<string, Tensor>;

/** Returns the number of elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** Says whether two shapes are equal. */
export function sameShape(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((length, axis) => length === right[axis]);
}

/** Says whether all values are finite. */
export function finite(values: Float32Array): boolean {
  return values.every(Number.isFinite);
}

/** Returns the bytes of values, little-endian. Every platform with these arrays that is in use is little-endian. */
export function bytesOf(values: Float32Array | Uint32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Returns float32 values from little-endian bytes, in memory of their own. */
export function floats(data: Uint8Array): Float32Array {
  return new Float32Array(new Uint8Array(data).buffer); // a copy, also of a Buffer of Node
}

interface Entry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

/** The types that a safetensors file may have here, with the bytes of one number. */
const BYTES = { F32: 4, F16: 2, I8: 1 } as const;

/** A tensor as a safetensors file stores it. */
export interface Stored {
  readonly dtype: keyof typeof BYTES;
  readonly shape: number[];
  readonly data: Uint8Array;
}

/**
 * Returns the tensors of a safetensors file of float32.
 *
 * @throws DamagedTaskError it is not one.
 */
export function unpack(data: Uint8Array): Tensors {
  const tensors = new Map<string, Tensor>();
  for (const [name, { dtype, shape, data: numbers }] of stored(data)) {
    if (dtype !== "F32") throw new DamagedTaskError(`${name} is of type ${dtype}, not float32`);
    tensors.set(name, { shape, values: floats(numbers) });
  }
  return tensors;
}

/**
 * Returns the tensors of a safetensors file as they are stored.
 *
 * @throws DamagedTaskError it is not one of known types.
 */
export function stored(data: Uint8Array): Map<string, Stored> {
  try {
    return read(data);
  } catch (error) {
    throw new DamagedTaskError(`not a readable safetensors file: ${(error as Error).message}`);
  }
}

function read(data: Uint8Array): Map<string, Stored> {
  const length = Number(new DataView(data.buffer, data.byteOffset, data.byteLength).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data.subarray(8, 8 + length)));
  const body = data.subarray(8 + length);
  const entries = Object.entries(header as Record<string, Entry>).filter(([name]) => name !== "__metadata__");
  entries.sort(([, left], [, right]) => left.data_offsets[0] - right.data_offsets[0]);
  let end = 0;
  const tensors = new Map<string, Stored>();
  for (const [name, { dtype, shape, data_offsets: [start, stop] }] of entries) {
    if (!Object.hasOwn(BYTES, dtype)) throw new RangeError(`${name} is of type ${dtype}`);
    const known = dtype as keyof typeof BYTES;
    if (start !== end || stop - start !== BYTES[known] * sizeOf(shape)) throw new RangeError(`${name} has wrong offsets`);
    tensors.set(name, { dtype: known, shape, data: body.subarray(start, stop) });
    end = stop;
  }
  if (end !== body.length) throw new RangeError("its tensors do not cover it");
  return tensors;
}

/** Returns tensors as a safetensors file; equal tensors give equal bytes. */
export function pack(tensors: Tensors): Uint8Array {
  const names = [...tensors.keys()].sort();
  const header: Record<string, Entry> = {};
  let end = 0;
  for (const name of names) {
    const { shape, values } = tensors.get(name)!;
    header[name] = { dtype: "F32", shape: [...shape], data_offsets: [end, (end += values.byteLength)] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.fill(0x20, 8, 8 + length).set(text, 8);
  let start = 8 + length;
  for (const name of names) {
    file.set(bytesOf(tensors.get(name)!.values), start);
    start += tensors.get(name)!.values.byteLength;
  }
  return file;
}
