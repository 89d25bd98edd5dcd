/** The newest model, kept in memory between calls for recommendations. */
import { NoModelError, UnsupportedTaskError } from "../errors.js";
import { GraphKind, type Resource, type TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import type { Platform, Store } from "../protocol/interfaces.js";
import { rowsOf, servedState } from "../protocol/preparation.js";
import type { Trust } from "../protocol/trust.js";
import type { Model } from "../protocol/values.js";
import { positivesOf } from "../weights.js";
import { sameResource } from "../wire/blobs.js";
import { parse } from "../wire/manifest.js";
import { decode } from "../wire/encodings.js";
import { ServedModel } from "./served.js";

interface Loaded {
  readonly model: Model;
  readonly task: TaskManifest;
  readonly served: ServedModel;
  readonly items: readonly string[];
  readonly rows: ReadonlyMap<string, number>;
}

/** Recommends from a store. */
export class Serving {
  private loaded: Loaded | undefined;
  /** The call under way. One follows the other, so that no model is freed that another call still uses. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly store: Store,
    private readonly platform: Platform,
    private readonly trust: Trust,
  ) {}

  /**
   * Returns ids and scores of the best k items that are not recorded and pass the filter, best first.
   *
   * @throws NoModelError there is no model yet, or a part of it is missing.
   * @throws UnsupportedTaskError, UntrustedTaskError it cannot be run here.
   */
  recommend(k: number, where: (item: string) => boolean): Promise<[string, number][]> {
    const best = this.last.then(() => this.best(k, where));
    this.last = best.catch(() => undefined);
    return best;
  }

  /** Frees the model, once the calls before have ended. */
  async free(): Promise<void> {
    await this.last;
    await this.loaded?.served.free();
    this.loaded = undefined;
  }

  private async best(k: number, where: (item: string) => boolean): Promise<[string, number][]> {
    const model = await this.store.model();
    if (model === undefined) throw new NoModelError("there is no model on this device yet: call sync() first");
    const { task, served, items, rows } = await this.load(model);
    const state = await servedState(this.store, model.taskId, task);
    const interactions = await this.store.interactions();
    const recorded = new Set(interactions.map(({ item }) => item));
    const { rows: history } = positivesOf(interactions, rows, task.plan!.interactions);
    const hidden = items.flatMap((item, row) => (recorded.has(item) || !where(item) ? [row] : []));
    const best = await served.recommend(k, history, state.values, hidden);
    return best.map(([row, score]) => [items[row]!, score]);
  }

  private async load(model: Model): Promise<Loaded> {
    const before = this.loaded?.model;
    const same = sameResource(before?.checkpoint, model.checkpoint) && sameResource(before?.manifest, model.manifest);
    if (same) return this.loaded!;
    const data = await this.kept(model.manifest);
    await this.trust.check(data);
    const task = parse(data);
    const tensors = decode(await this.kept(model.checkpoint));
    const prepare = await this.graph(task, GraphKind.PREPARE);
    const recommend = await this.graph(task, GraphKind.RECOMMEND);
    const served = await ServedModel.load(this.platform.runtime, task, tensors, prepare, recommend);
    const rows = rowsOf(await this.kept(task.catalogue!));
    await this.loaded?.served.free();
    return (this.loaded = { model, task, served, items: [...rows.keys()], rows });
  }

  private async graph(task: TaskManifest, kind: GraphKind): Promise<Uint8Array> {
    const graph = task.graphs.find((candidate) => candidate.kind === kind);
    if (graph === undefined) throw new UnsupportedTaskError(`the task brings no graph of kind ${GraphKind[kind]}`);
    return this.kept(graph.resource!);
  }

  private async kept(address: Resource): Promise<Uint8Array> {
    const data = await this.store.blob(address);
    if (data === undefined) throw new NoModelError("a part of the model is missing or was damaged: call sync() again");
    return data;
  }
}
