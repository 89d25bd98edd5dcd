/** The most bytes that the blobs of a task may have. */
import { UnsupportedTaskError } from "../errors.js";
import type { TensorSpec } from "../gen/fedau2/v1/tensors_pb.js";
import { sizeOf } from "./tensors.js";

/** Most bytes of a manifest. */
export const MANIFEST = 2 ** 20;
/** Most bytes that the catalogue has for each item. */
export const ITEM = 1024;
/** Most bytes of a graph. */
export const GRAPH = 2 ** 20;
/** Most bytes of a model version. */
export const MODEL = 2 ** 31;

const HEADER = 1024;

/** Returns the most bytes of a checkpoint that holds these tensors. */
export function checkpoint(tensors: readonly TensorSpec[]): number {
  return tensors.reduce((sum, spec) => sum + HEADER + 4 * sizeOf(spec.shape), HEADER);
}

/** @throws UnsupportedTaskError a blob has more bytes than it may have. */
export function checkSize(name: string, size: bigint, most: number): void {
  if (size > most) throw new UnsupportedTaskError(`the ${name} has ${size} bytes, and at most ${most} can be needed`);
}
