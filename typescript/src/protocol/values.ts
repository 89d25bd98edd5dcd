/** The values of a device's side of a round. */
import type { Resource, TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import type { Updates } from "../wire/contributions.js";
import { pack, type Tensor, type Tensors, unpack } from "../wire/tensors.js";

/** Private tensors, each with a first axis of length 1, and the state of their Adam. */
export interface PrivateState {
  readonly values: Tensors;
  readonly first: Tensors;
  readonly second: Tensors;
  /** Adam steps taken. */
  readonly steps: number;
}

/** Returns the state before the first step. */
export function startState(values: Tensors): PrivateState {
  const zeros = (): Tensors =>
    new Map([...values].map(([name, { shape, values: start }]) => [name, { shape, values: start.map(() => 0) }]));
  return { values, first: zeros(), second: zeros(), steps: 0 };
}

/** Returns the state as a safetensors file. */
export function packState(state: PrivateState): Uint8Array {
  const tensors = new Map<string, Tensor>([["steps", { shape: [1], values: Float32Array.of(state.steps) }]]);
  for (const part of ["values", "first", "second"] as const) {
    for (const [name, tensor] of state[part]) tensors.set(`${part}/${name}`, tensor);
  }
  return pack(tensors);
}

/** Inverse of `packState`. */
export function unpackState(data: Uint8Array): PrivateState {
  const tensors = unpack(data);
  const part = (prefix: string): Tensors =>
    new Map([...tensors].filter(([name]) => name.startsWith(prefix)).map(([n, t]) => [n.slice(prefix.length), t]));
  const steps = tensors.get("steps")!.values[0]!;
  return { values: part("values/"), first: part("first/"), second: part("second/"), steps };
}

/** The result of a training. Contribution and new private state always belong together. */
export interface TrainingResult {
  readonly contribution: Updates;
  readonly state: PrivateState;
}

/** A task's model version on this device, by content address. */
export interface Model {
  readonly taskId: string;
  readonly round: bigint;
  readonly manifest: Resource;
  readonly checkpoint: Resource;
}

/** A trained contribution whose upload has not been answered, with the private state that belongs to it. */
export interface Staged {
  readonly assignmentId: Uint8Array;
  readonly taskId: string;
  readonly round: bigint;
  readonly contribution: Uint8Array;
  readonly state: PrivateState;
  /** Names of the attributes that it was trained against. */
  readonly attributes: readonly string[];
}

/** Everything that training one client needs. Nothing of the client leaves the device. */
export interface Job {
  readonly manifest: TaskManifest;
  readonly tensors: Tensors;
  readonly round: bigint;
  /** The client's 16 secret bytes for the task. */
  readonly key: Uint8Array;
  /** Catalogue rows, sorted and unique. */
  readonly interactions: Uint32Array;
  /** Class numbers by adversary, without adversaries whose attribute is not known. */
  readonly labels: ReadonlyMap<string, number>;
  readonly state: PrivateState;
  /** The training graph. */
  readonly step: Uint8Array;
}
