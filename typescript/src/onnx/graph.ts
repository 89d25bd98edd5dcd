/** A graph of a bundle in ONNX Runtime, bound to its task. */
import { bytesToHex } from "@noble/hashes/utils.js";
import type { InferenceSession, Tensor } from "onnxruntime-common";
import { UnsupportedTaskError } from "../errors.js";
import { GraphKind, type TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import { inspected } from "../protocol/inspection.js";

/** ONNX Runtime, as `onnxruntime-node` and `onnxruntime-web` give it. */
export type Runtime = Pick<typeof import("onnxruntime-common"), "InferenceSession" | "Tensor">;

export type Values = Record<string, Tensor>;

const OPTIONS: InferenceSession.SessionOptions = {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  enableCpuMemArena: false, // the arena would never free an intermediate tensor
  logSeverityLevel: 4,
};

/** Returns the metadata that a graph of this task must have. */
export function metadata(task: TaskManifest, kind: GraphKind): ReadonlyMap<string, string> {
  const properties = new Map([
    ["fedau2.graph", `GRAPH_KIND_${GraphKind[kind]}`],
    ["fedau2.format", String(task.format)],
    ["fedau2.model", task.model],
    ["fedau2.items", String(task.items)],
    ["fedau2.catalogue", bytesToHex(task.catalogue!.sha256)],
  ]);
  if (kind === GraphKind.STEP) properties.set("fedau2.parameters", Object.keys(task.plan!.parameters).sort().join(","));
  return properties;
}

/** A graph, loaded on one thread. */
export class Graph {
  private constructor(
    readonly runtime: Runtime,
    private readonly session: InferenceSession,
    private readonly name: string,
  ) {}

  /**
   * Inspects and loads a graph.
   *
   * @throws ForbiddenGraphError it holds what no graph may hold; the runtime has not seen it.
   * @throws UnsupportedTaskError it cannot be loaded, belongs to another task, or lacks one of the outputs.
   */
  static async load(
    runtime: Runtime,
    data: Uint8Array,
    task: TaskManifest,
    kind: GraphKind,
    outputs: readonly string[] = [],
  ): Promise<Graph> {
    const graph = inspected(data, kind);
    const name = `graph of kind ${GraphKind[kind]}`;
    for (const [key, value] of metadata(task, kind)) {
      if (graph.properties.get(key) !== value) {
        throw new UnsupportedTaskError(`the task's ${name} was not made for it: its ${key} is not ${value}`);
      }
    }
    let session: InferenceSession;
    try {
      session = await runtime.InferenceSession.create(graph.data, OPTIONS);
    } catch (error) {
      throw new UnsupportedTaskError(`the task's ${name} cannot be loaded: ${(error as Error).message}`);
    }
    const lacking = outputs.filter((output) => !session.outputNames.includes(output));
    if (lacking.length > 0) throw new UnsupportedTaskError(`the task's ${name} does not give ${lacking.join(", ")}`);
    return new Graph(runtime, session, name);
  }

  /**
   * Runs the graph and returns its outputs by name.
   *
   * @param available inputs by name; those that the graph does not declare are left out.
   * @throws UnsupportedTaskError the graph declares other inputs, or cannot be run on these.
   */
  async run(available: Values): Promise<Values> {
    const missing = this.session.inputNames.filter((name) => !Object.hasOwn(available, name));
    if (missing.length > 0) {
      throw new UnsupportedTaskError(`the task's ${this.name} wants inputs that this SDK does not have: ${missing}`);
    }
    const feeds = Object.fromEntries(this.session.inputNames.map((name) => [name, available[name]!]));
    try {
      return await this.session.run(feeds);
    } catch (error) {
      throw new UnsupportedTaskError(`the task's ${this.name} cannot be run: ${(error as Error).message}`);
    }
  }

  /** Frees the graph's memory, which WebAssembly never does by itself. The graph cannot be run afterwards. */
  free(): Promise<void> {
    return this.session.release();
  }

  /** A float32 input. */
  float(values: Float32Array, shape: readonly number[]): Tensor {
    return new this.runtime.Tensor("float32", values, shape);
  }

  /** An int64 input of small whole numbers. */
  integers(values: ArrayLike<number | bigint>, shape: readonly number[]): Tensor {
    return new this.runtime.Tensor("int64", BigInt64Array.from(Array.from(values, BigInt)), shape);
  }
}
