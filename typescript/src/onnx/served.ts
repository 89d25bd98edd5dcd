/** Recommendations from a model version (docs/protocol/graphs.md). */
import { UnsupportedTaskError } from "../errors.js";
import { GraphKind, type TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import { TensorScope } from "../gen/fedau2/v1/tensors_pb.js";
import type { Tensors } from "../wire/tensors.js";
import { Graph, type Runtime, type Values } from "./graph.js";

/** A model version, ready to recommend. */
export class ServedModel {
  private constructor(
    private readonly task: TaskManifest,
    private readonly serving: Values,
    private readonly graph: Graph,
  ) {}

  /**
   * Prepares a checkpoint for recommending.
   *
   * @throws UnsupportedTaskError the graphs are not this task's, or cannot be run here.
   */
  static async load(
    runtime: Runtime,
    task: TaskManifest,
    checkpoint: Tensors,
    prepare: Uint8Array,
    recommend: Uint8Array,
  ): Promise<ServedModel> {
    const first = await Graph.load(runtime, prepare, task, GraphKind.PREPARE);
    const names = task.tensors.filter((spec) => spec.scope === TensorScope.SHARED).map((spec) => spec.name);
    const inputs = names.map((name) => [name, first.float(checkpoint.get(name)!.values, checkpoint.get(name)!.shape)]);
    const serving = await first.run(Object.fromEntries(inputs) as Values).finally(() => first.free());
    const graph = await Graph.load(runtime, recommend, task, GraphKind.RECOMMEND, ["items", "scores"]);
    return new ServedModel(task, serving, graph);
  }

  /** Frees the graph. */
  free(): Promise<void> {
    return this.graph.free();
  }

  /**
   * Returns rows and scores of the best items that are not hidden, best first.
   *
   * @param history the client's positives as catalogue rows, sorted and unique.
   * @param state the client's private tensors, with an axis of length 1.
   * @param hidden rows to leave out, the history among them.
   */
  async recommend(k: number, history: Uint32Array, state: Tensors, hidden: readonly number[]): Promise<[number, number][]> {
    const { graph, serving } = this;
    const own = [...state].map(([name, { shape, values }]) => [name, graph.float(values, shape.slice(1))]);
    const { items, scores } = await graph.run({
      ...serving,
      ...(Object.fromEntries(own) as Values),
      history: graph.integers(history, [history.length]),
      seen: graph.integers(hidden, [hidden.length]),
      k: graph.integers([Math.min(k, this.task.items)], []),
    });
    const rows = items!.type === "int64" ? Array.from(items!.data as BigInt64Array, Number) : undefined;
    const fit = rows?.length === scores!.size && rows.every((row) => row >= 0 && row < this.task.items);
    if (!fit || scores!.type !== "float32") {
      throw new UnsupportedTaskError("the task's graph for recommending does not give items and their scores");
    }
    const pairs = rows.map((row, place): [number, number] => [row, (scores!.data as Float32Array)[place]!]);
    return pairs.filter(([, score]) => Number.isFinite(score)); // a seen item has the score -inf
  }
}
