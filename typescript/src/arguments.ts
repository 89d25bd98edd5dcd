/** Checks of an app's arguments. A check returns the argument, or throws an error that says what would be right. */
import { UsageError } from "./errors.js";

const LONE_SURROGATE = /[\ud800-\udfff]/u;
/** Longest time in milliseconds that a timer of the platform takes. */
const LONGEST = 2 ** 31 - 1;

/** Returns a string that is not empty and can be written as UTF-8. @throws UsageError it is not such a string. */
export function text(argument: string, value: unknown): string {
  if (typeof value === "string" && value !== "" && !LONE_SURROGATE.test(value)) return value;
  throw new UsageError(`${argument} must be a string that is not empty and can be written as UTF-8`);
}

/** Returns a whole number from `least` up. @throws UsageError it is not such a number. */
export function whole(argument: string, value: unknown, least = 1): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) return value;
  throw new UsageError(`${argument} must be a whole number from ${least} up, not ${shown(value)}`);
}

/** Returns a number of seconds above 0, which may be infinite. @throws UsageError it is not such a number. */
export function duration(argument: string, value: unknown): number {
  if (typeof value === "number" && value > 0) return value;
  throw new UsageError(`${argument} must be a number of seconds above 0, not ${shown(value)}`);
}

/**
 * Returns the milliseconds of a timeout in seconds, for a timer; undefined: there is none.
 *
 * @throws UsageError it is not a finite number above 0.
 */
export function timeout(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (value === Infinity) throw new UsageError("timeout must be finite: leave it out for none");
  return Math.min(Math.ceil(1000 * duration("timeout", value)), LONGEST);
}

/** Returns microseconds since 1970. @throws UsageError it is no `Date`, or one without a time. */
export function microseconds(time: unknown): number {
  // a Date of another frame or context is none of this one's
  const milliseconds = Object.prototype.toString.call(time) === "[object Date]" ? (time as Date).getTime() : NaN;
  if (Number.isNaN(milliseconds)) throw new UsageError("time must be a valid Date");
  return 1000 * milliseconds;
}

function shown(value: unknown): string {
  return typeof value === "number" ? `${value}` : `a value of the type ${value === null ? "null" : typeof value}`;
}
