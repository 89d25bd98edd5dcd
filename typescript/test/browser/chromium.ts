/** Finds and starts Chromium. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const folders = (process.env["PATH"] ?? "").split(delimiter);
const candidates = folders.flatMap((folder) => NAMES.map((name) => join(folder, name)));

/** Path of a Chromium: the one that FEDAU2_CHROMIUM names, or one on the PATH. Undefined: there is none. */
export const CHROMIUM: string | undefined = process.env["FEDAU2_CHROMIUM"] ?? candidates.find((path) => existsSync(path));

/** Why tests of a browser are skipped; false if they are not. */
export const SKIP = CHROMIUM === undefined && "there is no Chromium: install it, or name it with FEDAU2_CHROMIUM";

/** Starts a headless Chromium whose profile is in a folder, so that another one can go on with its state. */
export function start(folder: string): ReturnType<typeof chromium.launchPersistentContext> {
  const root = process.getuid?.() === 0; // for whom Chromium has no sandbox
  return chromium.launchPersistentContext(folder, { executablePath: CHROMIUM!, headless: true, chromiumSandbox: !root });
}
