/** As much of `node:assert/strict` as the tests use, for a page. */

class AssertionError extends Error {}

type Kind = abstract new (...parts: never[]) => Error;
type Expected = Kind | ((error: unknown) => boolean);

function ok(value: unknown, message = "the value is not true"): asserts value {
  if (!value) throw new AssertionError(message);
}

function equal(found: unknown, expected: unknown): void {
  ok(Object.is(found, expected), `${shown(found)} is not ${shown(expected)}`);
}

function deepEqual(found: unknown, expected: unknown): void {
  ok(same(found, expected), `${shown(found)} is not like ${shown(expected)}`);
}

function notDeepEqual(found: unknown, other: unknown): void {
  ok(!same(found, other), `${shown(found)} is the same twice`);
}

function throws(work: () => unknown, expected?: Expected): void {
  let error: unknown;
  try {
    work();
  } catch (thrown) {
    error = thrown;
  }
  checkThrown(error, expected);
}

async function rejects(work: Promise<unknown> | (() => Promise<unknown>), expected?: Expected): Promise<void> {
  let error: unknown;
  try {
    await (typeof work === "function" ? work() : work);
  } catch (thrown) {
    error = thrown;
  }
  checkThrown(error, expected);
}

export default { ok, equal, deepEqual, notDeepEqual, rejects, throws };

function checkThrown(error: unknown, expected: Expected | undefined): void {
  ok(error !== undefined, "nothing was thrown");
  if (expected !== undefined) ok(fits(error, expected), `another error was thrown: ${String(error)}`);
}

function fits(error: unknown, expected: Expected): boolean {
  if (expected.prototype instanceof Error || expected === Error) return error instanceof (expected as Kind);
  return (expected as (error: unknown) => boolean)(error);
}

function same(left: unknown, right: unknown): boolean {
  if (Object.is(left, right)) return true;
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  if (Object.getPrototypeOf(left) !== Object.getPrototypeOf(right)) return false;
  if (left instanceof Map || left instanceof Set) return same([...left], [...(right as Map<unknown, unknown>)]);
  const [names, others] = [Object.keys(left).sort(), Object.keys(right).sort()];
  return (
    names.length === others.length &&
    names.every((name, place) => name === others[place] && same(valueOf(left, name), valueOf(right, name)))
  );
}

function valueOf(whole: object, name: string): unknown {
  return (whole as Record<string, unknown>)[name];
}

function shown(value: unknown): string {
  const text = JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? `${part}n` : part));
  return String(text).slice(0, 500);
}
