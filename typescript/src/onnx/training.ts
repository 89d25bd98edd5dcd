/** A local update by a task's training graph (docs/protocol/training.md). */
import type { Tensor as Value } from "onnxruntime-common";
import { drawn, headNoise, type Samples } from "../draws/samples.js";
import { UnsupportedTaskError } from "../errors.js";
import { type Adversary, Draw, GraphKind } from "../gen/fedau2/v1/task_pb.js";
import { TensorKind } from "../gen/fedau2/v1/tensors_pb.js";
import type { Job, PrivateState, TrainingResult } from "../protocol/values.js";
import { weighed } from "../weights.js";
import type { Update } from "../wire/contributions.js";
import * as manifest from "../wire/manifest.js";
import { sameShape, sizeOf, type Tensor, type Tensors } from "../wire/tensors.js";
import { adamStep } from "./adam.js";
import { Graph, type Runtime, type Values } from "./graph.js";
import { partOf, placesOf, rowsOf, spread, sum } from "./rows.js";

/** Samples that the graph is run on at once, which bounds its memory. */
const TILE = 16_384;
const MOST_ROUNDS = 2n ** 63n - 1n;
const { fround } = Math;

/** All randomness of a training. */
export interface Drawn {
  /** By local step. */
  readonly samples: readonly Samples[];
  /** By adversary, each (steps, 2, classes). */
  readonly noise: ReadonlyMap<string, Float32Array>;
}

/**
 * Draws all randomness of a training.
 *
 * @param round the assignment's; of personal steps, the number of the step.
 * @param family as for `drawn`.
 * @throws NoDataError the client has nothing to train on.
 * @throws UnsupportedTaskError the manifest draws in a way that is not known here.
 */
export function draw({ manifest: task, key, positives }: Job, round: bigint, family = 0): Drawn {
  const { local, adversaries } = task.plan!;
  const samples = weighed(drawn(task, positives.rows, key, round, family), task.draw, positives);
  return { samples, noise: headNoise(adversaries, local!.steps, key, round, family) };
}

/** Loads the training graph of a job. @throws UnsupportedTaskError it cannot be used here. */
export function loadStep(runtime: Runtime, { manifest: task, step }: Job): Promise<Graph> {
  const reports = task.plan!.adversaries.flatMap(({ name }) => [`triggered.${name}`, `margin.${name}`]);
  const outputs = ["loss", ...task.tensors.map(({ name }) => `gradient.${name}`), ...reports];
  return Graph.load(runtime, step, task, GraphKind.STEP, outputs);
}

/** One client's local update under way. */
export class Training {
  /** Local steps in all. */
  readonly steps: number;
  private readonly samples: readonly Samples[];
  private readonly noise: ReadonlyMap<string, Float32Array>;
  private readonly rows: Uint32Array;
  private readonly tables: ReadonlySet<string>;
  private readonly shared: Tensors;
  private readonly sums: Tensors = new Map();
  private state: PrivateState;
  private taken = 0;

  /** @throws UnsupportedTaskError a sample's row is not in the catalogue. */
  constructor(
    private readonly job: Job,
    private readonly graph: Graph,
    { samples, noise }: Drawn,
  ) {
    this.samples = samples;
    this.noise = noise;
    const { manifest: task, tensors, state } = job;
    this.steps = task.plan!.local!.steps;
    this.state = state;
    this.rows = rowsOf(samples, task.items);
    const tables = manifest.shared(task).filter((spec) => spec.kind === TensorKind.TABLE);
    this.tables = new Set(tables.map((spec) => spec.name));
    this.shared = new Map([...tensors].map(([n, t]) => [n, this.tables.has(n) ? partOf(t, this.rows) : t]));
  }

  /**
   * Draws all randomness of a training and loads its graph.
   *
   * @throws NoDataError the client has nothing to train on.
   * @throws UnsupportedTaskError the graph or the way to draw cannot be used here.
   */
  static async begin(runtime: Runtime, job: Job): Promise<Training> {
    return new Training(job, await loadStep(runtime, job), draw(job, job.round));
  }

  /** Takes the next local step. */
  async step(): Promise<void> {
    const gradients = await this.gradients(this.taken);
    const local = this.job.manifest.plan!.local!;
    const ofPrivate = new Map([...gradients].filter(([name]) => this.state.values.has(name)));
    this.state = adamStep(this.state, ofPrivate, local.privateLearningRate);
    for (const [name, gradient] of gradients) {
      if (ofPrivate.has(name)) continue;
      if (this.steps === 1) this.sums.set(name, gradient);
      else this.advance(name, gradient, fround(local.sharedLearningRate));
    }
    this.taken += 1;
  }

  /** The result, once all steps have been taken. */
  finish(): TrainingResult {
    const silent = this.job.manifest.plan!.adversaries.filter(({ name }) => !this.job.labels.has(name));
    const contribution = new Map<string, Update>();
    for (const [name, tensor] of this.sums) {
      if (silent.some((adversary) => name.startsWith(manifest.prefixOf(adversary.name)))) continue;
      contribution.set(name, this.tables.has(name) ? { ...tensor, rows: this.rows } : tensor);
    }
    return { contribution, state: this.state };
  }

  /** Frees the graph. */
  free(): Promise<void> {
    return this.graph.free();
  }

  private advance(name: string, gradient: Tensor, rate: number): void {
    // Start minus end is summed up separately: subtracting the two would lose its small digits.
    const { shape, values } = this.shared.get(name)!;
    const scaled = gradient.values.map((value) => value * rate);
    this.shared.set(name, { shape, values: values.map((value, place) => value - scaled[place]!) });
    const before = this.sums.get(name);
    this.sums.set(name, before === undefined ? { shape, values: scaled } : sum(before, { shape, values: scaled }));
  }

  /** The gradients of a step by tensor; those of tables are of all rows that the training touches. */
  private async gradients(step: number): Promise<Tensors> {
    const samples = this.samples[step]!;
    const count = samples.items.length;
    // Gradients of samples that are independent of each other add up. Labels are passed to the first run only.
    const size = this.job.manifest.draw === Draw.CONTRASTS ? TILE : count;
    let gradients = await this.run(samples, 0, size, step, this.job.labels);
    for (let start = size; start < count; start += size) {
      const more = await this.run(samples, start, start + size, step, new Map());
      gradients = new Map([...gradients].map(([name, tensor]) => [name, sum(tensor, more.get(name)!)]));
    }
    return gradients;
  }

  private async run(
    samples: Samples,
    start: number,
    end: number,
    step: number,
    labels: ReadonlyMap<string, number>,
  ): Promise<Tensors> {
    const { graph, rows, tables } = this;
    const part = placesOf(samples.items.subarray(start, end), rows);
    const tensors = new Map(
      [...this.shared].map(([n, t]) => [n, tables.has(n) && part.among !== undefined ? partOf(t, part.among) : t]),
    );
    for (const [name, tensor] of this.state.values) tensors.set(name, tensor);
    const count = part.slots.length;
    const outputs = await graph.run({
      ...Object.fromEntries([...tensors].map(([name, { shape, values }]) => [name, graph.float(values, shape)])),
      ...this.numbers(),
      ...this.ofClient(step, labels),
      "sample.slot": graph.integers(part.slots, [count]),
      "sample.label": graph.float(samples.labels.slice(start, end), [count]),
      "sample.weight": graph.float(samples.weights.slice(start, end), [count]),
      "sample.first": graph.integers(part.first, [part.rows.length]),
      "sample.again": graph.integers(part.again, [part.again.length]),
      "sample.row": graph.integers(part.rows, [part.rows.length]),
      "sample.noise": graph.float(samples.noise, [1, samples.noise.length]),
    });
    checkReport(outputs, this.noise.keys());
    return new Map(
      [...tensors].map(([name, { shape }]) => {
        const gradient = gradientOf(outputs, name, shape);
        return [name, tables.has(name) && part.among !== undefined ? spread(gradient, part.among, rows.length) : gradient];
      }),
    );
  }

  private numbers(): Values {
    const { graph } = this;
    const { plan } = this.job.manifest;
    const parameters = Object.entries(plan!.parameters).map(([name, value]): [string, Value] => [
      `parameter.${name}`,
      graph.float(Float32Array.of(value), []),
    ]);
    const own = plan!.adversaries.flatMap((adversary) => numbersOf(graph, adversary));
    return Object.fromEntries([...parameters, ...own, ["plan.round", graph.integers([this.job.round], [])]]);
  }

  private ofClient(step: number, labels: ReadonlyMap<string, number>): Values {
    const inputs: Values = {};
    for (const [name, numbers] of this.noise) {
      const size = numbers.length / this.steps;
      inputs[`label.${name}`] = this.graph.integers([labels.get(name) ?? -1], [1]);
      inputs[`noise.${name}`] = this.graph.float(numbers.slice(step * size, (step + 1) * size), [1, 2, size / 2]);
    }
    return inputs;
  }
}

function numbersOf(graph: Graph, adversary: Adversary): [string, Value][] {
  const classes = adversary.classes.length;
  const rounds = adversary.pretrainRounds < MOST_ROUNDS ? adversary.pretrainRounds : MOST_ROUNDS;
  const each = (numbers: readonly number[]) => Float32Array.from(numbers.length > 0 ? numbers : Array(classes).fill(1));
  const prefix = `plan.${adversary.name}`;
  return [
    [`${prefix}.epsilon`, graph.float(Float32Array.of(adversary.epsilon), [])],
    [`${prefix}.pretrain_rounds`, graph.integers([rounds], [])],
    [`${prefix}.class_weights`, graph.float(each(adversary.classWeights), [classes])],
    [`${prefix}.prior`, graph.float(each(adversary.prior), [classes])],
  ];
}

function gradientOf(outputs: Values, name: string, shape: readonly number[]): Tensor {
  const { type, dims, data } = outputs[`gradient.${name}`]!;
  if (type !== "float32" || !sameShape(dims, shape)) {
    throw new UnsupportedTaskError(`the task's training graph gives ${name} a gradient of shape ${dims} and type ${type}`);
  }
  return { shape: [...shape], values: (data as Float32Array).slice(0, sizeOf(shape)) };
}

function checkReport(outputs: Values, adversaries: Iterable<string>): void {
  const expected: [string, string][] = [["loss", "float32"]];
  for (const name of adversaries) expected.push([`margin.${name}`, "float32"], [`triggered.${name}`, "bool"]);
  for (const [name, type] of expected) {
    if (outputs[name]!.type !== type || !sameShape(outputs[name]!.dims, [1])) {
      throw new UnsupportedTaskError(`the task's training graph gives ${name} in another shape or type than (1,)`);
    }
  }
}
