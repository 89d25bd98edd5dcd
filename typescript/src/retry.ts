/** When a device comes back, in the coordinator's words. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { RetryWindow as Message } from "./gen/fedau2/v1/task_pb.js";

/** Longest wait in seconds before the next check-in, whatever the coordinator says. */
export const LONGEST = 7 * 86400;

/** The time in which the coordinator wants the next check-in, in seconds from the end of the sync. */
export interface RetryWindow {
  readonly earliest: number;
  readonly latest: number;
}

/** Returns the window of a coordinator's message; undefined if the coordinator gave none. */
export function windowOf(message: Message | undefined): RetryWindow | undefined {
  if (message?.delayMin === undefined && message?.delayMax === undefined) return undefined;
  const earliest = Math.min(Math.max(seconds(message.delayMin), 0), LONGEST);
  return { earliest, latest: Math.min(Math.max(seconds(message.delayMax), earliest), LONGEST) };
}

/** Returns the seconds of a duration; a missing one has none. */
export function seconds(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Number(duration.seconds) + duration.nanos / 1e9;
}
