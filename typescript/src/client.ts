/** The SDK's client, as an app sees it. */
import * as check from "./arguments.js";
import { StoreError, TaskError, TimedOutError, UsageError } from "./errors.js";
import { type Event, Events } from "./events.js";
import { Serving } from "./onnx/serving.js";
import type { Platform, Store, Transport } from "./protocol/interfaces.js";
import { labels } from "./protocol/preparation.js";
import { type Outcome, session } from "./protocol/session.js";
import { unfit } from "./protocol/fitness.js";
import { knownTask, wanted } from "./protocol/freshness.js";
import type { Model } from "./protocol/values.js";
import { type Personalisation, Personaliser, STEPS } from "./personalisation/personaliser.js";
import { checked, checkedItem, type Recorded, Times } from "./recording.js";
import type { Checked } from "./settings.js";

/** The version that a device states at its check-in. */
export const VERSION = "0.0.0";

/** What a platform brings to a client. */
export interface Parts {
  readonly store: Store;
  readonly platform: Platform;
  readonly settings: Checked;
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
  private readonly times = new Times();
  private syncing: Promise<unknown> = Promise.resolve();

  protected constructor(private readonly parts: Parts) {
    const { store, platform, settings } = parts;
    this.store = store;
    this.serving = new Serving(store, platform, settings.trust);
    this.personal = new Personaliser(store, platform, settings.trust, settings.personalSteps);
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
    const count = await this.store.record(checked(interactions, this.times));
    if (count > 0) this.events.publish({ type: "interactionsDropped", count });
  }

  /**
   * Removes what is recorded of an item from this device, once a sync under way has ended. An unanswered contribution is
   * withdrawn, and the vectors of personal steps are removed. The vectors of past rounds stay, which were trained on the
   * item too, and what was uploaded cannot be taken back.
   *
   * @param time that of the interaction to remove; undefined: all of the item are removed.
   * @returns how many interactions were removed.
   */
  async forget(item: string, time?: Date): Promise<number> {
    const [named, at] = [checkedItem(item), time === undefined ? undefined : check.microseconds(time)];
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
   * @throws UsageError an argument is no such string.
   */
  async setAttribute(name: string, value: string | undefined): Promise<void> {
    check.text("name", name);
    if (value !== undefined) check.text("value", value);
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
   * @param timeout seconds after which the sync ends; at most 24 days count.
   * @throws TimedOutError, TransportError, RefusedError nothing is lost.
   * @throws TaskError, AttributeValueError the task cannot be run here.
   * @throws UsageError the timeout is no number above 0.
   */
  async sync(timeout?: number): Promise<Outcome> {
    const milliseconds = check.timeout(timeout);
    return this.alone(async () => {
      const { limit, signal } = this.limit(milliseconds);
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
    const [number, milliseconds] = [check.whole("steps", steps), check.timeout(timeout)];
    return this.alone(async () => {
      const { limit, signal } = this.limit(milliseconds);
      const result = await this.personal.personalise(number, signal);
      const late = result.ended === "interrupted" && limit?.aborted && !this.closing.signal.aborted;
      return late ? { ...result, ended: "timeout" } : result;
    });
  }

  /** Runs work once that under way has ended. */
  private alone<T>(work: () => Promise<T>): Promise<T> {
    const run = this.syncing.catch(() => undefined).then(work);
    this.syncing = run;
    return run;
  }

  /** Returns a signal by which the client's end or a time ends work. */
  private limit(milliseconds: number | undefined): { limit: AbortSignal | undefined; signal: AbortSignal } {
    const limit = milliseconds === undefined ? undefined : AbortSignal.timeout(milliseconds);
    return { limit, signal: limit === undefined ? this.closing.signal : AbortSignal.any([this.closing.signal, limit]) };
  }

  private async syncOnce(signal: AbortSignal): Promise<Outcome> {
    const staged = (await this.store.staged()) !== undefined;
    const fault = staged ? undefined : await unfit(this.store, await knownTask(this.store));
    const { platform, settings, connect } = this.parts;
    const transport = connect();
    const context = {
      store: this.store,
      transport,
      platform,
      trust: settings.trust,
      population: settings.population,
      version: VERSION,
      emit: this.events.publish,
      withoutPlace: fault !== undefined,
      wanted: (model: Model) => wanted(this.store, model, settings.maxModelAge, fault !== undefined),
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
    if (typeof where !== "function") throw new UsageError("where must be a function");
    const best = await this.serving.recommend(check.whole("k", k), where);
    return best.map(([item, score]) => ({ item, score }));
  }
}

/** Returns the outcome of a session that ended because it had to stop, and throws every other error again. */
function stopped(signal: AbortSignal, error: unknown): Outcome {
  if (!signal.aborted || error instanceof StoreError || error instanceof TaskError) throw error;
  return { result: "interrupted", retry: undefined, reason: "", refreshed: false };
}
