/** Interactions as an app records them, and the checks of its arguments. */
import { microseconds, text } from "./arguments.js";
import { UsageError } from "./errors.js";
import { type Interaction, type Kind, KINDS } from "./protocol/values.js";
import { MOST_RATING } from "./wire/weights.js";

const LONGEST_ITEM = 1024;
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

/** The times of interactions that the app gives none, in microseconds since 1970. Each is later than the one before. */
export class Times {
  private last = 0;

  next(): number {
    this.last = Math.max(microseconds(new Date()), this.last + 1);
    return this.last;
  }
}

/**
 * Checks what an app records.
 *
 * @param recorded an id stands for a view now.
 * @throws UsageError a part of it has a wrong type or value.
 */
export function checked(recorded: readonly (string | Recorded)[], times: Times): Interaction[] {
  if (!Array.isArray(recorded)) throw new UsageError("recordMany takes a list: record() records one");
  return recorded.map((each: unknown) => checkedOne(typeof each === "string" ? { item: each } : fields(each), times));
}

function fields(recorded: unknown): Record<string, unknown> {
  if (typeof recorded === "object" && recorded !== null) return recorded as Record<string, unknown>;
  throw new UsageError("an interaction must be an item's id, or an object with one");
}

function checkedOne({ item, time, kind = "view", weight = 1, value }: Record<string, unknown>, times: Times): Interaction {
  const known = KINDS.find((each) => each === kind);
  if (known === undefined) throw new UsageError(`kind must be one of ${KINDS.join(", ")}`);
  if (!(typeof weight === "number" && weight > 0 && weight <= MOST_RATING)) {
    throw new UsageError(`weight must be a number above 0 and at most ${MOST_RATING}`);
  }
  const named = checkedItem(item);
  const at = time === undefined ? times.next() : microseconds(time);
  return { item: named, time: at, kind: known, weight, value: checkedValue(known, value) };
}

function checkedValue(kind: Kind, value: unknown): number | undefined {
  if (kind !== "rating") {
    if (value === undefined) return undefined;
    throw new UsageError(`only a rating has a value, not a ${kind}`);
  }
  if (typeof value === "number" && value >= 0 && value <= MOST_RATING) return value;
  throw new UsageError(`the value of a rating must be a number from 0 to ${MOST_RATING}`);
}

/** Returns an id. @throws UsageError it is not one line of 1 to 1,024 bytes. */
export function checkedItem(item: unknown): string {
  const name = text("item", item);
  if (name.includes("\n") || utf8.encode(name).length > LONGEST_ITEM) {
    throw new UsageError(`an item's id has one line of 1 to ${LONGEST_ITEM} bytes`);
  }
  return name;
}
