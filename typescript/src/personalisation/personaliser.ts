/** Takes personal steps from a client's store, and decides when the client takes them by itself. */
import { taskKey } from "../draws/keys.js";
import { FedError, NoDataError, NoModelError, UnsupportedTaskError } from "../errors.js";
import { GraphKind, type Resource, type TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import { guarded } from "../protocol/contributing.js";
import type { Platform, Store } from "../protocol/interfaces.js";
import { labels, rowsOf, servedState } from "../protocol/preparation.js";
import type { Trust } from "../protocol/trust.js";
import type { Job, Model, Personal } from "../protocol/values.js";
import { positivesOf } from "../weights.js";
import { same } from "../wire/blobs.js";
import { decode } from "../wire/encodings.js";
import { parse, privateOf } from "../wire/manifest.js";
import { PersonalSteps } from "./steps.js";

/** Personal steps of a personalisation, by default. */
export const STEPS = 20;
/** Most steps that are lost if the process dies. */
const KEPT = 5;
/** The client personalises again when a tenth of the records that it keeps are new, in number. */
const SHARE = 10;

const NOTHING: Personal = { steps: 0, state: undefined, checkpoint: undefined, recorded: 0 };

/** The result of personalising. */
export interface Personalisation {
  /** Number of steps that were taken. They are kept, however it ended. */
  readonly steps: number;
  /**
   * "timeout": the app's time was over. "interrupted": the client was closed. "nothingPrivate": the model recommends from
   * the user's history alone, and needs no personal steps.
   */
  readonly ended: "done" | "timeout" | "interrupted" | "nothingPrivate";
}

/** The personal steps of one client. The caller keeps syncs out meanwhile, because a sync replaces the model. */
export class Personaliser {
  private tried = "";

  /** @param steps of each personalisation that the client begins by itself; 0: it begins none. */
  constructor(
    private readonly store: Store,
    private readonly platform: Platform,
    private readonly trust: Trust,
    private readonly steps: number,
  ) {}

  /**
   * Takes personal steps. The steps that were taken are kept, also when the signal ends them.
   *
   * @throws NoModelError there is no model yet, or a part of it is missing.
   * @throws NoDataError nothing is recorded that the task counts, or everything is.
   * @throws AttributeValueError the task does not know the value that an attribute was set to.
   * @throws TaskError the steps cannot be taken here.
   */
  async personalise(steps: number, signal: AbortSignal): Promise<Personalisation> {
    const model = await this.store.model();
    if (model === undefined) throw new NoModelError("there is no model on this device yet: call sync() first");
    const task = await this.task(model);
    if (privateOf(task).length === 0) return { steps: 0, ended: "nothingPrivate" };
    const job = await this.job(model, task);
    if (job.positives.rows.length === 0) {
      throw new NoDataError("nothing is recorded that the model's catalogue lists: call record() first");
    }
    const personal = await guarded(() => PersonalSteps.begin(this.platform.runtime, job));
    return this.take(steps, signal, personal, model).finally(() => personal.free());
  }

  /** Personalises if there is a new model, or enough new records. Errors of the SDK end it, and are not thrown. */
  async whenDue(signal: AbortSignal): Promise<void> {
    try {
      const moment = await this.due();
      if (moment === undefined || moment === this.tried) return;
      this.tried = moment; // what fails is not tried again with the same model and records
      const { ended } = await this.personalise(this.steps, signal);
      if (ended !== "nothingPrivate") this.tried = ""; // it is due again where the user removes what it has made
    } catch (error) {
      if (!(error instanceof FedError)) throw error;
    }
  }

  /** Returns a name for the model and the number of records, ever made, for which the client may personalise by itself. */
  private async due(): Promise<string | undefined> {
    const model = this.steps > 0 ? await this.store.model() : undefined;
    const kept = model === undefined ? 0 : (await this.store.interactions()).length;
    if (model === undefined || kept === 0) return undefined;
    const last = await this.store.personal(model.taskId);
    const recorded = await this.store.ever();
    const changed = (recorded - (last?.recorded ?? 0)) * SHARE >= kept;
    const current = last?.checkpoint !== undefined && same(last.checkpoint, model.checkpoint.sha256);
    return changed || !current ? `${model.taskId} ${model.round} ${recorded}` : undefined;
  }

  private async task(model: Model): Promise<TaskManifest> {
    const data = await this.blob(model.manifest);
    await this.trust.check(data);
    return parse(data);
  }

  private async job(model: Model, task: TaskManifest): Promise<Job> {
    const { store } = this;
    const graph = task.graphs.find(({ kind }) => kind === GraphKind.STEP);
    if (graph === undefined) throw new UnsupportedTaskError("the task brings no training graph");
    const rows = rowsOf(await this.blob(task.catalogue!));
    return {
      manifest: task,
      tensors: decode(await this.blob(model.checkpoint)),
      round: model.round,
      key: taskKey(await store.key(), model.taskId),
      positives: positivesOf(await store.interactions(), rows, task.plan!.interactions),
      labels: await labels(store, task),
      state: await servedState(store, model.taskId, task),
      step: await this.blob(graph.resource!),
    };
  }

  private async blob(address: Resource): Promise<Uint8Array> {
    const data = await this.store.blob(address);
    if (data === undefined) throw new NoModelError("a part of the model is missing or was damaged: call sync() again");
    return data;
  }

  private async take(steps: number, signal: AbortSignal, personal: PersonalSteps, model: Model): Promise<Personalisation> {
    const recorded = await this.store.ever();
    const before = (await this.store.personal(model.taskId)) ?? NOTHING;
    const keep = (taken: number, change: Partial<Personal> = {}) =>
      this.store.keepPersonal(model.taskId, { ...before, ...change, steps: before.steps + taken, state: personal.state });
    for (let taken = 0; taken < steps; taken++) {
      if (signal.aborted) {
        if (taken > 0) await keep(taken);
        return { steps: taken, ended: "interrupted" };
      }
      await guarded(() => personal.step(before.steps + taken));
      if ((taken + 1) % KEPT === 0 && taken + 1 < steps) await keep(taken + 1);
    }
    await keep(steps, { checkpoint: model.checkpoint.sha256, recorded });
    return { steps, ended: "done" };
  }
}
