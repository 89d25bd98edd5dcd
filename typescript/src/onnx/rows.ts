/** Rows of tables that a training touches, and where its samples find them. */
import type { Samples } from "../draws/samples.js";
import { UnsupportedTaskError } from "../errors.js";
import { sizeOf, type Tensor } from "../wire/tensors.js";

/** Where the samples of a run find their rows. */
export interface Places {
  /** The different catalogue rows, increasing. */
  readonly rows: Uint32Array;
  /** Number of each sample's row among `rows`. */
  readonly slots: Uint32Array;
  /** The first sample of each row. */
  readonly first: Uint32Array;
  /** All other samples, increasing. */
  readonly again: Uint32Array;
  /** Number of each row among all rows of the training; undefined if they are the same. */
  readonly among: Uint32Array | undefined;
}

/**
 * Returns the different rows of all samples, increasing.
 *
 * @throws UnsupportedTaskError a row is not in the catalogue.
 */
export function rowsOf(samples: readonly Samples[], items: number): Uint32Array {
  const rows = Uint32Array.from(new Set(samples.flatMap((step) => [...step.items]))).sort();
  if (rows.some((row) => row >= items)) {
    throw new UnsupportedTaskError(`the client's interactions name a row beyond a catalogue of ${items} items`);
  }
  return rows;
}

/** Finds the places of the samples of one run. */
export function placesOf(items: Uint32Array, all: Uint32Array): Places {
  const firsts = new Map<number, number>();
  const again: number[] = [];
  items.forEach((row, sample) => (firsts.has(row) ? again.push(sample) : firsts.set(row, sample)));
  const rows = Uint32Array.from(firsts.keys()).sort();
  const numbers = new Map(Array.from(rows, (row, number) => [row, number]));
  const places = new Map(Array.from(all, (row, number) => [row, number]));
  return {
    rows,
    slots: items.map((row) => numbers.get(row)!),
    first: rows.map((row) => firsts.get(row)!),
    again: Uint32Array.from(again),
    among: rows.length === all.length ? undefined : rows.map((row) => places.get(row)!),
  };
}

/** Returns some rows of a table. */
export function partOf({ shape, values }: Tensor, rows: Uint32Array): Tensor {
  const width = sizeOf(shape.slice(1));
  const part = new Float32Array(rows.length * width);
  rows.forEach((row, place) => part.set(values.subarray(row * width, (row + 1) * width), place * width));
  return { shape: [rows.length, ...shape.slice(1)], values: part };
}

/** Returns rows at their places among `count` rows, the others 0. */
export function spread({ shape, values }: Tensor, places: Uint32Array, count: number): Tensor {
  const width = sizeOf(shape.slice(1));
  const whole = new Float32Array(count * width);
  places.forEach((place, row) => whole.set(values.subarray(row * width, (row + 1) * width), place * width));
  return { shape: [count, ...shape.slice(1)], values: whole };
}

/** Returns the sum of two tensors of one shape. */
export function sum(left: Tensor, right: Tensor): Tensor {
  return { shape: left.shape, values: left.values.map((value, place) => value + right.values[place]!) };
}
