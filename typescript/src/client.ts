/** The SDK's client, as an app sees it. */
import { StoreError, TaskError, TimedOutError, UsageError } from "./errors.js";
import { type Event, Events } from "./events.js";
import { Serving } from "./onnx/serving.js";
import type { Platform, Store, Transport } from "./protocol/interfaces.js";
import { labels } from "./protocol/preparation.js";
import { type Outcome, session } from "./protocol/session.js";
import { unfit } from "./protocol/fitness.js";
import { knownTask, wanted } from "./protocol/freshness.js";
import { Trust } from "./protocol/trust.js";
import type { Model } from "./protocol/values.js";
import { type Personalisation, Personaliser, STEPS } from "./personalisation/personaliser.js";
import { checked, checkedItem, microseconds, type Recorded } from "./recording.js";

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
  /**
   * Personal steps that a sync takes at its end, after a new model or a tenth more records, as `personalise` does; 20 by
   * default. 0: it takes none.
   */
  readonly personalSteps?: number;
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
  private readonly events = new Events();
  private readonly serving: Serving;
  private readonly personal: Personaliser;
  private readonly store: Store;
  private syncing: Promise<unknown> = Promise.resolve();

  protected constructor(
    private readonly options: Settings,
    private readonly parts: Parts,
  ) {
    const { store, platform, trust } = parts;
    this.store = store;
    this.serving = new Serving(store, platform, trust);
    this.personal = new Personaliser(store, platform, trust, options.personalSteps ?? STEPS);
  }

  /** Interrupts a sync under way and frees the state. */
  async close(): Promise<void> {
    this.closing.abort();
    await this.syncing.catch(() => undefined);
    await this.serving.free();
    await this.store.close();
  }

  /** Calls a function with each event from now on. Returns a function that ends this. */
  subscribe(callback: (event: Event) => void): () => void {
    return this.events.subscribe(callback);
  }

  /** Keeps an interaction of the user, on this device; an id alone stands for a view now. */
  record(interaction: string | Recorded): Promise<void> {
    return this.recordMany([interaction]);
  }

  /** Keeps interactions, on this device: all of them or none. The oldest beyond `maxInteractions` are dropped. */
  async recordMany(interactions: readonly (string | Recorded)[]): Promise<void> {
    const count = await this.store.record(checked(interactions));
    if (count > 0) this.events.publish({ type: "interactionsDropped", count });
  }

  /**
   * Removes what is recorded of an item from this device, without a trace, once a sync under way has ended. An unanswered
   * contribution is withdrawn, and the vectors of personal steps are removed. What was uploaded cannot be taken back.
   *
   * @param time that of the interaction to remove; undefined: all of the item are removed.
   * @returns how many interactions were removed.
   */
  async forget(item: string, time?: Date): Promise<number> {
    const [named, at] = [checkedItem(item), time && microseconds(time)];
    return this.alone(() => this.store.forget(named, at));
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
    const task = await knownTask(this.store);
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
    return this.alone(async () => {
      const { limit, signal } = this.limit(timeout);
      try {
        const outcome = await this.syncOnce(signal);
        if (outcome.result === "interrupted") this.events.publish({ type: "syncInterrupted", reason: outcome.reason });
        if (limit?.aborted && outcome.result === "interrupted") {
          throw new TimedOutError(`the sync did not end within ${timeout} s; nothing is lost`);
        }
        await this.personal.whenDue(signal);
        return outcome;
      } catch (error) {
        if (!(error instanceof TimedOutError)) this.events.publish({ type: "syncFailed", error });
        throw error;
      }
    });
  }

  /**
   * Trains the user's own vectors on this device, so that recommendations become the user's own at once. It uses no
   * network, changes nothing that is shared, and changes no contribution.
   *
   * @param timeout seconds after which no further step begins.
   * @throws NoModelError there is no model yet.
   * @throws TaskError, AttributeValueError the steps cannot be taken here.
   */
  async personalise(steps = STEPS, timeout?: number): Promise<Personalisation> {
    if (!Number.isInteger(steps) || steps < 1) throw new UsageError(`steps must be a whole number from 1 up, not ${steps}`);
    return this.alone(() => this.personal.personalise(steps, this.limit(timeout).signal));
  }

  /** Runs work once that under way has ended. */
  private alone<T>(work: () => Promise<T>): Promise<T> {
    const run = this.syncing.catch(() => undefined).then(work);
    this.syncing = run;
    return run;
  }

  /** Returns a signal by which the client's end or a time ends work. */
  private limit(timeout: number | undefined): { limit: AbortSignal | undefined; signal: AbortSignal } {
    const limit = timeout === undefined ? undefined : AbortSignal.timeout(1000 * timeout);
    return { limit, signal: limit === undefined ? this.closing.signal : AbortSignal.any([this.closing.signal, limit]) };
  }

  private async syncOnce(signal: AbortSignal): Promise<Outcome> {
    const staged = (await this.store.staged()) !== undefined;
    const fault = staged ? undefined : await unfit(this.store, await knownTask(this.store));
    const oldest = this.options.maxModelAge ?? DAY;
    const { platform, trust, connect } = this.parts;
    const transport = connect();
    const context = {
      store: this.store,
      transport,
      platform,
      trust,
      population: this.options.population,
      version: VERSION,
      emit: this.events.publish,
      withoutPlace: fault !== undefined,
      wanted: (model: Model) => wanted(this.store, model, oldest, fault !== undefined),
      signal,
      clock: () => performance.now() / 1000,
    };
    const outcome = await session(context)
      .catch((error: unknown) => stopped(signal, error))
      .finally(() => transport.close());
    if (fault !== undefined && outcome.result === "rejected" && !outcome.refreshed) throw fault;
    return outcome;
  }

  /** Returns the user's best items that are not recorded, best first, offline from the newest model on the device. */
  async recommend(k = 10, where: (item: string) => boolean = () => true): Promise<Recommendation[]> {
    if (!Number.isInteger(k) || k < 1) throw new UsageError(`k must be a whole number from 1 up, not ${k}`);
    const best = await this.serving.recommend(k, where);
    return best.map(([item, score]) => ({ item, score }));
  }
}

/**
 * Returns what decides which tasks are trusted, once the settings are checked.
 *
 * @throws UsageError a setting has a wrong value.
 */
export function trustOf({ population, publishers, personalSteps: steps = STEPS }: Settings, platform: Platform): Trust {
  const size = utf8.encode(population).length;
  if (size === 0 || size > 128) throw new UsageError("population has 1 to 128 bytes");
  if (!Number.isInteger(steps) || steps < 0) throw new UsageError("personalSteps is a whole number from 0 up");
  return new Trust(platform, publishers);
}

/** Returns the outcome of a session that ended because it had to stop, and throws every other error again. */
function stopped(signal: AbortSignal, error: unknown): Outcome {
  if (!signal.aborted || error instanceof StoreError || error instanceof TaskError) throw error;
  return { result: "interrupted", retry: undefined, reason: "", refreshed: false };
}
