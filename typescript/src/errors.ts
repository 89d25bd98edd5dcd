/**
 * Errors of the SDK: the tree of `client_sdk.errors`. It raises no others for faults of an app, a server or a disk.
 */
import * as errors from "./errors.js";
import type { RetryWindow } from "./retry.js";

/** Root of the SDK's errors. */
export class FedError extends Error {}

/** The client's state cannot be used. */
export class StoreError extends FedError {}
/** Another client uses the state. */
export class StoreLockedError extends StoreError {}
/** The state was written by a newer SDK. */
export class StoreVersionError extends StoreError {}
/** The state, or a part of it, is missing. The rest stays: remove it to begin as a new user. */
export class StoreLostError extends StoreError {}
/** The client has been closed: open another. */
export class StoreClosedError extends StoreError {}

/** An argument has a wrong type or value. */
export class UsageError extends FedError {}
/** No adversary of the task knows this value of the attribute. The error does not hold the value. */
export class AttributeValueError extends UsageError {
  constructor(
    message: string,
    readonly attribute: string,
  ) {
    super(message);
  }
}

/** There is no model yet: call sync() first. */
export class NoModelError extends FedError {}

/** The task cannot be run on this device. */
export class TaskError extends FedError {}
/** Nothing is recorded that could be trained on. */
export class NoDataError extends TaskError {}
/** The task asks for something that this SDK does not know. */
export class UnsupportedTaskError extends TaskError {}
/** The task requires features that this SDK does not have: update the app. */
export class MissingFeatureError extends UnsupportedTaskError {
  constructor(
    message: string,
    readonly features: readonly string[],
  ) {
    super(message);
  }
}
/** A graph of the task holds something that no graph may hold. Nothing of it ran. */
export class ForbiddenGraphError extends UnsupportedTaskError {}
/** The task is not signed by a publisher that the app trusts; nothing of it was run or kept. */
export class UntrustedTaskError extends TaskError {}
/** Its publisher signed it for another population or another time, or a newer one has followed it; nothing was run. */
export class ReleaseError extends UntrustedTaskError {}
/** The task would take more memory, time or bytes than it may; nothing was kept or sent. */
export class ResourceLimitError extends TaskError {}
/** The coordinator sent bytes that do not match their hash, or are not what they should be. */
export class DamagedTaskError extends TaskError {}
/** The runtime failed; nothing was kept or sent. */
export class TrainingError extends TaskError {}
/** Training gave values that are not finite. */
export class DivergedError extends TaskError {}

/** The coordinator could not be reached or did not answer. Nothing is lost. */
export class TransportError extends FedError {
  /** @param temporary true if the same call may succeed later. */
  constructor(
    message: string,
    readonly temporary = true,
  ) {
    super(message);
  }
}
/** The coordinator does not know the call: it is older than this SDK, or no coordinator is at this address. */
export class UnknownCallError extends TransportError {
  constructor(message: string) {
    super(message, false);
  }
}

/** The coordinator refused a call; the text says why. */
export class RefusedError extends FedError {
  /**
   * @param status gRPC's status code.
   * @param retry window for the next check-in; undefined if the coordinator gave none.
   */
  constructor(
    message: string,
    readonly status: number,
    readonly retry: RetryWindow | undefined,
  ) {
    super(message);
  }
}

/** A sync did not end in the time that the app gave it. Nothing that was fetched or trained is lost; sync again. */
export class TimedOutError extends FedError {}

// An error bears its name also where a bundler has shortened the names of classes.
for (const [name, kind] of Object.entries(errors)) Object.defineProperty(kind.prototype, "name", { value: name });
