/** Events that a client publishes to the app while it takes part in training. None says anything about the user. */
import { type FedError, UsageError } from "./errors.js";

interface OfRound<T extends string> {
  readonly type: T;
  readonly taskId: string;
  /** Counted from 0. */
  readonly round: bigint;
}

/** The coordinator gave this device a place in a round. */
export type Joined = OfRound<"joined">;
/** A new model version is on the device, and recommendations come from it from now on. */
export type NewModel = OfRound<"newModel">;
/** A contribution to the round has been trained. The device keeps it until its upload is answered. */
export type Trained = OfRound<"trained">;
/** The coordinator counted the contribution to the round. */
export type Uploaded = OfRound<"uploaded">;
/** The coordinator did not take the contribution; `reason` has its words. */
export type Refused = OfRound<"refused"> & { readonly reason: string };
/** This device does not run the task that the coordinator sent. A model that was here before stays. */
export type TaskRefused = OfRound<"taskRefused"> & { readonly error: FedError };
/** A model version that was to be fetched is not served any more. The next sync fetches a newer one. */
export type DownloadDropped = OfRound<"downloadDropped">;
/** A contribution was trained and dropped before a byte of it left the device, because the time was over. */
export type ContributionDropped = OfRound<"contributionDropped">;

/** The client's private state was carried over to a task that goes on from an earlier one. */
export interface CarriedOver {
  readonly type: "carriedOver";
  readonly taskId: string;
  /** Names of the private tensors that were carried over. */
  readonly tensors: readonly string[];
  /** Names of those that start anew, because the earlier task has none of that name and shape. */
  readonly anew: readonly string[];
}

/** The round had no place for this device, or the device came too soon. */
export interface Rejected {
  readonly type: "rejected";
  /** As in `Outcome.reason`. */
  readonly reason: string;
}

/** The oldest interactions were removed, because more than `maxInteractions` were recorded. */
export interface InteractionsDropped {
  readonly type: "interactionsDropped";
  readonly count: number;
}

/** A sync ended early: by `close`, or because its lease is too short. Nothing is lost. */
export interface SyncInterrupted {
  readonly type: "syncInterrupted";
  /** As in `Outcome.reason`. */
  readonly reason: string;
}

/** A sync ended with an error. */
export interface SyncFailed {
  readonly type: "syncFailed";
  readonly error: unknown;
}

export type Event =
  | Joined
  | NewModel
  | CarriedOver
  | Trained
  | Uploaded
  | Rejected
  | Refused
  | TaskRefused
  | DownloadDropped
  | ContributionDropped
  | InteractionsDropped
  | SyncInterrupted
  | SyncFailed;

/** The subscribers to a client's events. */
export class Events {
  private readonly callbacks = new Set<(event: Event) => void>();

  /**
   * Calls a function with each event from now on. Returns a function that ends this; it may be called again.
   *
   * @throws UsageError it is no function.
   */
  subscribe(callback: (event: Event) => void): () => void {
    if (typeof callback !== "function") throw new UsageError("an event's callback must be a function");
    const own = (event: Event) => callback(event);
    this.callbacks.add(own);
    return () => void this.callbacks.delete(own);
  }

  /** Calls the subscribers. What a callback throws, now or later, is left out, so that it cannot end a sync. */
  readonly publish = (event: Event): void => {
    for (const callback of [...this.callbacks]) {
      new Promise<void>((resolve) => resolve(callback(event))).catch((error: unknown) => {
        console.warn(`a callback for ${event.type} threw ${(error as Error)?.name}`);
      });
    }
  };
}
