/** What the browser gives the pages of this origin. */
import type { Browser } from "../../src/store/objects.js";

export function newOrigin(): Browser {
  return { indexedDB, locks: navigator.locks, marks: globalThis.localStorage };
}
