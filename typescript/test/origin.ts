/** What a browser gives the pages of one origin, in Node; test/browser/origin.ts has that of a real one. */
import { IDBFactory } from "fake-indexeddb";
import type { Browser } from "../src/store/objects.js";

/** Returns a new and empty origin. */
export function newOrigin(): Browser {
  return { indexedDB: new IDBFactory(), locks: { request } as Browser["locks"], marks: new Marks() };
}

class Marks {
  private readonly kept = new Map<string, string>();

  getItem(name: string): string | null {
    return this.kept.get(name) ?? null;
  }

  setItem(name: string, value: string): void {
    this.kept.set(name, value);
  }

  removeItem(name: string): void {
    this.kept.delete(name);
  }
}

const last = new Map<string, Promise<unknown>>();

/** `LockManager.request` with a signal: who waits longer than the signal says is refused. */
async function request(name: string, { signal }: { signal: AbortSignal }, work: () => Promise<void>): Promise<void> {
  const awake = setInterval(() => undefined, 1000); // Node would not wait for the signal's timer
  const ended = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  await Promise.race([last.get(name), ended]).finally(() => clearInterval(awake));
  const done = work();
  last.set(name, done);
  await done;
}
