/** The values of a device's side of a round. */
import type { Resource, TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import type { Positives } from "../weights.js";
import type { Updates } from "../wire/contributions.js";
import { finite, pack, type Tensor, type Tensors, unpack } from "../wire/tensors.js";

/** The tasks whose private and personal states a store keeps. */
export const TASKS = 8;

/** The kinds of interactions. */
export const KINDS = ["view", "like", "purchase", "dislike", "rating"] as const;

/** A kind of interactions. */
export type Kind = (typeof KINDS)[number];

/** An interaction as the device keeps it. */
export interface Interaction {
  readonly item: string;
  /** Microseconds since 1970, a whole number. */
  readonly time: number;
  readonly kind: Kind;
  /** The app's own, above 0. */
  readonly weight: number;
  /** The rating; undefined for other kinds. */
  readonly value: number | undefined;
}

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

/** Says whether all numbers of a state are finite. */
export function finiteState({ values, first, second }: PrivateState): boolean {
  return [values, first, second].every((part) => [...part.values()].every((tensor) => finite(tensor.values)));
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

/** What personal steps have made of a task's private state. No contribution depends on it. */
export interface Personal {
  /** Personal steps that were ever taken for the task. It never shrinks, because a step's numbers are drawn by it. */
  readonly steps: number;
  /** Undefined if it was removed. */
  readonly state: PrivateState | undefined;
  /** SHA-256 of the checkpoint on which the steps were completed last; undefined if there is none. */
  readonly checkpoint: Uint8Array | undefined;
  /** The number of interactions that had ever been recorded then. */
  readonly recorded: number;
}

/** A task's model version on this device, by content address. */
export interface Model {
  readonly taskId: string;
  readonly round: bigint;
  readonly manifest: Resource;
  readonly checkpoint: Resource;
}

/** A task that was adopted, as far as a successor of it needs to know. */
export interface KnownTask {
  readonly taskId: string;
  /** SHA-256 of its serialised manifest. */
  readonly manifest: Uint8Array;
  /** The name of its recommender, which is the manifest's `model`. */
  readonly recommender: string;
  /** Its catalogue's bytes; undefined if no private tensor has numbers for each item, or if nobody needs it any more. */
  readonly catalogue: Uint8Array | undefined;
}

/** What a client carries over to a task from an ancestor. The task has neither yet. */
export interface Carried {
  /** Its private state; undefined: the task begins with its own. */
  readonly state: PrivateState | undefined;
  /** Counts as the last round with a contribution, and may be -1; undefined: there was none. */
  readonly contributed: bigint | undefined;
}

/** The adoption of a model version. */
export interface Adoption {
  readonly model: Model;
  /** Addresses of all its blobs, which the store has. */
  readonly blobs: readonly Resource[];
  readonly task: KnownTask;
  readonly carried: Carried | undefined;
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
  readonly positives: Positives;
  /** Class numbers by adversary, without adversaries whose attribute is not known. */
  readonly labels: ReadonlyMap<string, number>;
  readonly state: PrivateState;
  /** The training graph. */
  readonly step: Uint8Array;
}
