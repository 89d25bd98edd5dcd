/** What a coordinator's answers mean, whatever carries them. */
import { fromBinary } from "@bufbuild/protobuf";
import { RefusedError, TransportError, UnknownCallError } from "../errors.js";
import { RetryWindowSchema } from "../gen/fedau2/v1/task_pb.js";
import { Status } from "../protocol/status.js";
import { type RetryWindow, windowOf } from "../retry.js";
import { type Quiet, SILENCE } from "./quiet.js";

/** Name of the trailing metadata that holds a serialised `RetryWindow`. */
export const RETRY_METADATA = "fedau2-retry-window-bin";

const UNIMPLEMENTED = 12;
/** CANCELLED, UNKNOWN, INTERNAL and UNAVAILABLE, which say nothing about the request itself. */
const UNANSWERED: ReadonlySet<number> = new Set([1, 2, 13, 14]);
const REFUSED: ReadonlyMap<number, string> = new Map(Object.entries(Status).map(([name, code]) => [code, name]));

/** A call that did not end well. */
export interface Failure {
  /** gRPC's status code. */
  readonly code: number;
  readonly details: string;
  /** Bytes of the retry window. */
  readonly window: Uint8Array | undefined;
}

/**
 * Returns the SDK's error for a failed call.
 *
 * @param name the coordinator's address.
 * @param quiet the watch over the call, if it has one.
 */
export function translated({ code, details, window }: Failure, name: string, quiet?: Quiet): Error {
  if (quiet?.silent) return new TransportError(`nothing moved between ${name} and here for ${SILENCE} s`);
  const retry = retryOf(window);
  if (code === Status.DEADLINE_EXCEEDED && retry === undefined) {
    return new TransportError(`${name} did not answer in time; try again later (${details})`);
  }
  if (code === UNIMPLEMENTED) return new UnknownCallError(`${name} does not know the call (${details})`);
  const refusal = REFUSED.get(code);
  if (refusal === undefined) {
    return new TransportError(`${name} answered with the status ${code}: ${details}`, UNANSWERED.has(code));
  }
  return new RefusedError(`${name} refused (${refusal}): ${details}`, code, retry);
}

function retryOf(window: Uint8Array | undefined): RetryWindow | undefined {
  try {
    return window && windowOf(fromBinary(RetryWindowSchema, window));
  } catch {
    return undefined;
  }
}
