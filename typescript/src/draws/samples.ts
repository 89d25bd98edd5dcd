/** Draws what a local update needs at random (docs/protocol/draws.md). */
import { NoDataError, UnsupportedTaskError } from "../errors.js";
import { type Adversary, Draw, Head, type TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import { Distribution, type TensorSpec } from "../gen/fedau2/v1/tensors_pb.js";
import { Generator } from "./generator.js";

const { fround } = Math;

/**
 * The purposes of a key's streams. `personal` is added to the number of a stream: the one of the same purpose for personal
 * steps.
 */
export const Stream = {
  initial: 0,
  samples: 1,
  noise: 2,
  latent: 3,
  cover: 4,
  coverValues: 5,
  gaussian: 6,
  personal: 64,
} as const;

/** The samples of one local step: as `client_sdk.draws.Samples`. */
export interface Samples {
  /** Catalogue rows. */
  readonly items: Uint32Array;
  readonly labels: Float32Array;
  readonly weights: Float32Array;
  /** Numbers of noise that the recommender itself adds. */
  readonly noise: Float32Array;
}

/** What drawing needs of a plan's local update. */
export interface LocalPlan {
  readonly steps: number;
  readonly negatives: number;
  readonly chunk: number;
}

/** Draws the initial values of tensors, in their order. */
export function initial(specs: readonly TensorSpec[], key: Uint8Array): Map<string, Float32Array> {
  const numbers = new Generator(key, 0n, Stream.initial);
  return new Map(specs.map((spec) => [spec.name, initialValues(spec, numbers)]));
}

function initialValues(spec: TensorSpec, numbers: Generator): Float32Array {
  const size = spec.shape.reduce((product, length) => product * length, 1);
  const scale = spec.initializer?.scale ?? 0;
  switch (spec.initializer?.distribution) {
    case Distribution.NORMAL:
      return numbers.normals(size).map((value) => fround(value * scale));
    case Distribution.UNIFORM:
      return Float32Array.from({ length: size }, () => fround(fround(fround(numbers.float32() * 2) - 1) * scale));
    default:
      return new Float32Array(size);
  }
}

/**
 * Draws the samples of all local steps as the manifest says.
 *
 * @param round the assignment's; of personal steps, the number of the step.
 * @param family 0 for contributions, `Stream.personal` for personal steps: their streams have no number in common.
 * @throws NoDataError there is nothing to train on.
 * @throws UnsupportedTaskError the manifest draws in a way that is not known here.
 */
export function drawn(
  task: TaskManifest,
  interactions: Uint32Array,
  key: Uint8Array,
  round: bigint,
  family = 0,
): Samples[] {
  const local = task.plan!.local!;
  if (task.draw === Draw.CONTRASTS) return contrasts(local, task.items, interactions, key, round, family);
  if (task.draw !== Draw.WHOLE) {
    throw new UnsupportedTaskError("this SDK cannot draw the task's samples: its recommender draws in a way of its own");
  }
  const dropout = task.plan!.parameters["dropout"] ?? 0;
  if (!(dropout >= 0 && dropout < 1)) {
    throw new UnsupportedTaskError(`the plan's parameter 'dropout' must lie in [0, 1), not ${dropout}`);
  }
  return whole(local, interactions, key, round, dropout, task.noise, family);
}

/** One pass over the interactions in random order, each followed by random items that are not among them. */
export function contrasts(
  local: LocalPlan,
  items: number,
  interactions: Uint32Array,
  key: Uint8Array,
  round: bigint,
  family = 0,
): Samples[] {
  const count = interactions.length;
  if (count === 0) throw new NoDataError("nothing is recorded to train on: call record() first");
  if (count >= items) {
    throw new NoDataError("every item of the catalogue is recorded, so there is nothing to contrast them with");
  }
  const numbers = new Generator(key, round, family + Stream.samples);
  const order = numbers.permutation(count);
  // interactions[j] - j items outside lie before the j-th interaction.
  const outside = interactions.map((row, place) => row - place);
  const rows = Array.from(order, (place) => {
    const negatives = Array.from({ length: local.negatives }, () => numbers.bounded(items - count - 1));
    return [interactions[place]!, ...negatives.map((rank) => rank + notAbove(outside, rank))];
  });
  return split(rows, local.steps).map((part) => labelled(part, local.chunk));
}

/** Returns how many of some sorted numbers are at most `value`. */
function notAbove(sorted: Uint32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Splits rows into parts; the first ones have one row more where the number does not divide. */
function split<T>(rows: readonly T[], parts: number): T[][] {
  const least = Math.floor(rows.length / parts);
  const longer = rows.length % parts;
  return Array.from({ length: parts }, (_, part) => {
    const start = part * least + Math.min(part, longer);
    return rows.slice(start, start + least + (part < longer ? 1 : 0));
  });
}

function labelled(rows: readonly number[][], chunk: number): Samples {
  const items = Uint32Array.from(rows.flat());
  const rest = items.length % chunk;
  const weights = new Float32Array(items.length).fill(1 / chunk);
  if (rest > 0) weights.fill(1 / rest, items.length - rest);
  const labels = Float32Array.from(rows.flatMap((row) => row.map((_, place) => (place === 0 ? 1 : 0))));
  return { items, labels, weights, noise: new Float32Array() };
}

/** All interactions in each step, of which the weights drop some and make the rest of length 1. */
export function whole(
  local: Pick<LocalPlan, "steps">,
  interactions: Uint32Array,
  key: Uint8Array,
  round: bigint,
  dropout: number,
  noise: number,
  family = 0,
): Samples[] {
  const count = interactions.length;
  if (count === 0) throw new NoDataError("nothing is recorded to train on: call record() first");
  const dropping = new Generator(key, round, family + Stream.samples);
  const latent = new Generator(key, round, family + Stream.latent);
  const scale = fround((1 - dropout) * Math.sqrt(count));
  return Array.from({ length: local.steps }, () => ({
    items: interactions,
    labels: new Float32Array(count).fill(1),
    weights: Float32Array.from({ length: count }, () => (dropping.float32() >= fround(dropout) ? 1 / scale : 0)),
    noise: latent.normals(noise),
  }));
}

/** Draws the heads' noise (n1, n2) by adversary, each (steps, 2, classes). */
export function headNoise(
  adversaries: readonly Pick<Adversary, "name" | "head" | "classes" | "variance">[],
  steps: number,
  key: Uint8Array,
  round: bigint,
  family = 0,
): Map<string, Float32Array> {
  const numbers = new Generator(key, round, family + Stream.noise);
  return new Map(adversaries.map((adversary) => [adversary.name, noiseOf(adversary, steps, numbers)]));
}

function noiseOf(
  adversary: Pick<Adversary, "head" | "classes" | "variance">,
  steps: number,
  numbers: Generator,
): Float32Array {
  const classes = adversary.classes.length;
  const spread = adversary.head === Head.DSVAE || adversary.head === Head.SCALAR;
  const deviation = fround(Math.sqrt(spread ? adversary.variance : 0));
  return numbers.normals(steps * 2 * classes).map((value, place) => {
    const first = Math.floor(place / classes) % 2 === 0;
    return first ? fround(1 + fround(deviation * value)) : value;
  });
}
