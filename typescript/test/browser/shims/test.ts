/** As much of `node:test` as the tests use, for a page. */
type Work = (context: Context) => unknown;

interface Context {
  diagnostic(text: string): void;
}

/** The result of one test. */
export interface Result {
  readonly name: string;
  /** The stack of the error that it ended with; undefined if it passed. */
  readonly error: string | undefined;
}

interface Suite {
  readonly name: string;
  readonly before: (() => unknown)[];
  readonly after: (() => unknown)[];
}

const suites: Suite[] = [newSuite("")];
const tests: (() => Promise<Result>)[] = [];

export function test(name: string, work: Work): void {
  const around = [...suites];
  const title = [...around.map((suite) => suite.name), name].filter(Boolean).join(": ");
  tests.push(async () => {
    try {
      for (const { before } of around) for (const hook of before) await hook();
      await work({ diagnostic: (text) => console.info(text) });
      for (const { after } of [...around].reverse()) for (const hook of after) await hook();
      return { name: title, error: undefined };
    } catch (error) {
      return { name: title, error: (error as Error).stack ?? String(error) };
    }
  });
}

export function describe(name: string, declare: () => void): void {
  suites.push(newSuite(name));
  declare();
  suites.pop();
}

export function beforeEach(work: () => unknown): void {
  suites.at(-1)!.before.push(work);
}

export function afterEach(work: () => unknown): void {
  suites.at(-1)!.after.push(work);
}

/** Runs all tests that were declared, one after the other. */
export async function run(): Promise<Result[]> {
  const results: Result[] = [];
  for (const each of tests) results.push(await each());
  return results;
}

function newSuite(name: string): Suite {
  return { name, before: [], after: [] };
}
