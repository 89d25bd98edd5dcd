/** Keeps a client's state to one tab. */
import { StoreLockedError } from "../errors.js";

/** Milliseconds in which a tab that is being closed or loaded anew gives its lock back. */
const PATIENCE = 1000;

/** The browser's locks, which it frees when a tab ends in whatever way. */
export type Locks = Pick<LockManager, "request">;

/**
 * Returns a function that frees the lock of a name, once this tab has it.
 *
 * @throws StoreLockedError another tab, or another client of this one, has it.
 */
export async function locked(locks: Locks, name: string): Promise<() => Promise<void>> {
  let free = () => {};
  const held = new Promise<void>((resolve) => (free = resolve));
  return new Promise((resolve, reject) => {
    const options = { signal: AbortSignal.timeout(PATIENCE) };
    const ended = locks.request(`fedau2 ${name}`, options, () => {
      resolve(async () => {
        free();
        await ended;
      });
      return held;
    });
    ended.catch(() => reject(new StoreLockedError(`${name} is open already, here or in another tab: close it there first`)));
  });
}
