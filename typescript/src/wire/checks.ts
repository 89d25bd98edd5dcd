/** Small checks of a manifest's fields. */
import { UnsupportedTaskError } from "../errors.js";

/** @throws UnsupportedTaskError the condition does not hold. */
export function expect(condition: boolean, message: string): void {
  if (!condition) throw new UnsupportedTaskError(message);
}

/** Says whether a number is a value of an enumeration, and not its unspecified one. */
export function known(values: Record<string | number, string | number>, value: number): boolean {
  return value !== 0 && value in values;
}

/** Says whether a number is finite and above 0. */
export function positive(value: number): boolean {
  return Number.isFinite(value) && value > 0;
}

/** Says whether a number is at least `least` and below `end`. */
export function within(value: number, least: number, end: number): boolean {
  return value >= least && value < end;
}
