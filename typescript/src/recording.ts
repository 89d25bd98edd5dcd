/** Interactions as an app records them, and the checks of its arguments. */
import { UsageError } from "./errors.js";
import { type Interaction, type Kind, KINDS } from "./protocol/values.js";
import { MOST_RATING } from "./wire/weights.js";

const LONGEST_ITEM = 1024;
const MICROSECONDS = 1000;
const utf8 = new TextEncoder();

/** An interaction of the user with an item. */
export interface Recorded {
  /** The item's id in the catalogue: one line of 1 to 1,024 bytes. */
  readonly item: string;
  /** The time now by default. */
  readonly time?: Date;
  /** "view" by default. The task's plan says what each kind counts. A dislike revokes what was recorded until then. */
  readonly kind?: Kind;
  /** The app's own weight, above 0 and at most 1,000,000; 1 by default. A task may use it or not. */
  readonly weight?: number;
  /** The rating, from 0 to 1,000,000; for a rating only, which needs it. */
  readonly value?: number;
}

/**
 * Checks what an app records.
 *
 * @param recorded an id stands for a view now.
 * @throws UsageError a part of it has a wrong type or value.
 */
export function checked(recorded: readonly (string | Recorded)[]): Interaction[] {
  const now = new Date();
  return recorded.map((each) => checkedOne(typeof each === "string" ? { item: each } : each, now));
}

function checkedOne({ item, time, kind = "view", weight = 1, value }: Recorded, now: Date): Interaction {
  if (!KINDS.includes(kind)) throw new UsageError(`kind must be one of ${KINDS.join(", ")}`);
  if (!(weight > 0 && weight <= MOST_RATING)) {
    throw new UsageError(`weight must be a number above 0 and at most ${MOST_RATING}`);
  }
  if (kind !== "rating" && value !== undefined) throw new UsageError(`only a rating has a value, not a ${kind}`);
  if (kind === "rating" && !(value !== undefined && value >= 0 && value <= MOST_RATING)) {
    throw new UsageError(`the value of a rating must be a number from 0 to ${MOST_RATING}`);
  }
  return { item: checkedItem(item), time: microseconds(time ?? now), kind, weight, value };
}

/** Returns an id. @throws UsageError it is not one line of 1 to 1,024 bytes. */
export function checkedItem(item: string): string {
  const size = utf8.encode(item).length;
  if (item.includes("\n") || size === 0 || size > LONGEST_ITEM) {
    throw new UsageError(`an item's id has one line of 1 to ${LONGEST_ITEM} bytes`);
  }
  return item;
}

/** Returns a time in microseconds since 1970. @throws UsageError it is no time. */
export function microseconds(time: Date): number {
  const milliseconds = time.getTime();
  if (Number.isNaN(milliseconds)) throw new UsageError("time must be a valid Date");
  return MICROSECONDS * milliseconds;
}
