/** The SDK's client, as an app sees it. */
import { StoreError, TaskError, TimedOutError, UnsupportedTaskError, UsageError } from "./errors.js";
import type { TaskManifest } from "./gen/fedau2/v1/task_pb.js";
import { Serving } from "./onnx/serving.js";
import { parts } from "./protocol/fetching.js";
import type { Platform, Store, Transport } from "./protocol/interfaces.js";
import { labels } from "./protocol/preparation.js";
import { type Outcome, session } from "./protocol/session.js";
import { unfit } from "./protocol/fitness.js";
import { Trust } from "./protocol/trust.js";
import type { Model } from "./protocol/values.js";
import { checked, type Recorded } from "./recording.js";
import { sameResource } from "./wire/blobs.js";
import { parse } from "./wire/manifest.js";

/** The version that a device states at its check-in. */
export const VERSION = "0.0.0";
/** Most interactions that are kept, unless the app says otherwise. */
export const INTERACTIONS = 100_000;
const DAY = 86_400;
const utf8 = new TextEncoder();

/** Arguments of `FedClient.open` that every platform has. */
export interface Settings {
  /** Name of the population that this device belongs to, at most 128 bytes. */
  readonly population: string;
  /** Public keys (PEM) whose signatures on tasks are trusted; without it every task is run. */
  readonly publishers?: readonly string[];
  /** Most interactions that are kept. */
  readonly maxInteractions?: number;
  /** Age in seconds from which a sync fetches a newer model although the round has no place for this device. */
  readonly maxModelAge?: number;
}

/** What a platform brings to a client. */
export interface Parts {
  readonly store: Store;
  readonly platform: Platform;
  readonly trust: Trust;
  /** Makes the way to the coordinator for one sync. */
  readonly connect: () => Transport;
}

/** An item that the client has not recorded, with the model's score. */
export interface Recommendation {
  readonly item: string;
  readonly score: number;
}

/** One user's recommender on one device, on every platform. */
export class Client {
  private readonly closing = new AbortController();
  private readonly serving: Serving;
  private readonly store: Store;
  private syncing: Promise<unknown> = Promise.resolve();

  protected constructor(
    private readonly options: Settings,
    private readonly parts: Parts,
  ) {
    this.store = parts.store;
    this.serving = new Serving(parts.store, parts.platform, parts.trust);
  }

  /** Interrupts a sync under way and frees the state. */
  async close(): Promise<void> {
    this.closing.abort();
    await this.syncing.catch(() => undefined);
    await this.serving.free();
    await this.store.close();
  }

  /** Keeps an interaction of the user, on this device; an id alone stands for a view now. */
  record(interaction: string | Recorded): Promise<void> {
    return this.recordMany([interaction]);
  }

  /** Keeps interactions, on this device: all of them or none. The oldest beyond `maxInteractions` are dropped. */
  async recordMany(interactions: readonly (string | Recorded)[]): Promise<void> {
    await this.store.record(checked(interactions));
  }

  /** Returns the recorded items, each once, in the order in which they were recorded first. */
  async recorded(): Promise<string[]> {
    return [...new Set((await this.store.interactions()).map(({ item }) => item))];
  }

  /**
   * Keeps an attribute of the user, on this device; undefined forgets it.
   *
   * @throws AttributeValueError the task does not know this value; the value before it stays.
   */
  async setAttribute(name: string, value: string | undefined): Promise<void> {
    const before = await this.store.attribute(name);
    await this.store.setAttribute(name, value);
    const task = await this.task();
    if (task === undefined || value === undefined) return;
    try {
      await labels(this.store, task);
    } catch (error) {
      await this.store.setAttribute(name, before);
      throw error;
    }
  }

  /**
   * Makes one check-in now: a contribution, if the round has a place.
   *
   * @param timeout seconds after which the sync ends.
   * @throws TimedOutError, TransportError, RefusedError nothing is lost.
   * @throws TaskError, AttributeValueError the task cannot be run here.
   */
  sync(timeout?: number): Promise<Outcome> {
    const run = this.syncing.catch(() => undefined).then(() => this.syncOnce(timeout));
    this.syncing = run;
    return run;
  }

  private async syncOnce(timeout: number | undefined): Promise<Outcome> {
    const limit = timeout === undefined ? undefined : AbortSignal.timeout(1000 * timeout);
    const signal = limit === undefined ? this.closing.signal : AbortSignal.any([this.closing.signal, limit]);
    const fault = (await this.store.staged()) === undefined ? await unfit(this.store, await this.task()) : undefined;
    const { platform, trust, connect } = this.parts;
    const transport = connect();
    const context = {
      store: this.store,
      transport,
      platform,
      trust,
      population: this.options.population,
      version: VERSION,
      withoutPlace: fault !== undefined,
      wanted: (model: Model) => this.wanted(model, fault !== undefined),
      signal,
      clock: () => performance.now() / 1000,
    };
    const outcome = await session(context)
      .catch((error: unknown) => stopped(signal, error))
      .finally(() => transport.close());
    if (limit?.aborted && outcome.result === "interrupted") {
      throw new TimedOutError(`the sync did not end within ${timeout} s; nothing is lost`);
    }
    if (fault !== undefined && outcome.result === "rejected" && !outcome.refreshed) throw fault;
    return outcome;
  }

  /** Returns the user's best items that are not recorded, best first, offline from the newest model on the device. */
  async recommend(k = 10, where: (item: string) => boolean = () => true): Promise<Recommendation[]> {
    if (!Number.isInteger(k) || k < 1) throw new UsageError(`k must be a whole number from 1 up, not ${k}`);
    const best = await this.serving.recommend(k, where);
    return best.map(([item, score]) => ({ item, score }));
  }

  private async task(): Promise<TaskManifest | undefined> {
    const model = await this.store.model();
    const data = model && (await this.store.blob(model.manifest));
    try {
      return data && parse(data);
    } catch (error) {
      if (error instanceof UnsupportedTaskError) return undefined; // the next sync fetches another
      throw error;
    }
  }

  private async wanted(newest: Model, unfit: boolean): Promise<boolean> {
    const [model, renewed] = [await this.store.model(), await this.store.renewed()];
    if (model === undefined || renewed === undefined) return true;
    if (unfit && !sameResource(model.manifest, newest.manifest)) return true;
    const age = (Date.now() - renewed) / 1000;
    const oldest = this.options.maxModelAge ?? DAY;
    const old = oldest < Infinity && !(age >= 0 && age < oldest);
    if (old && !sameResource(model.checkpoint, newest.checkpoint)) return true;
    return !(await this.whole(model));
  }

  private async whole(model: Model): Promise<boolean> {
    const task = await this.task();
    if (task === undefined) return false;
    for (const part of parts(model, task)) if ((await this.store.blob(part)) === undefined) return false;
    return true;
  }
}

/**
 * Returns what decides which tasks are trusted, once the settings are checked.
 *
 * @throws UsageError a setting has a wrong value.
 */
export function trustOf({ population, publishers }: Settings, platform: Platform): Trust {
  const size = utf8.encode(population).length;
  if (size === 0 || size > 128) throw new UsageError("population has 1 to 128 bytes");
  return new Trust(platform, publishers);
}

/** Returns the outcome of a session that ended because it had to stop, and throws every other error again. */
function stopped(signal: AbortSignal, error: unknown): Outcome {
  if (!signal.aborted || error instanceof StoreError || error instanceof TaskError) throw error;
  return { result: "interrupted", retry: undefined, reason: "", refreshed: false };
}
