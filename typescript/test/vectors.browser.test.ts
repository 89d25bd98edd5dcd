/** Runs the vectors and the tests of the store in Chromium. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { bundled } from "./browser/bundles.js";
import { SKIP, start } from "./browser/chromium.js";
import { PAGE, serve } from "./browser/server.js";
import type { Result } from "./browser/shims/test.js";

test("in Chromium", { skip: SKIP }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "fedau2-"));
  const texts = new Map([["/index.html", PAGE], ["/page.js", await bundled("vectors.page.js")]]);
  const { server, address } = await serve(texts);
  const browser = await start(folder);
  try {
    const page = await browser.newPage();
    page.on("console", (message) => t.diagnostic(message.text()));
    page.on("pageerror", (error) => t.diagnostic(error.stack ?? error.message));
    await page.goto(`${address}/index.html`, { waitUntil: "load" });
    const results = await page.evaluate(() => (globalThis as unknown as { results: Promise<Result[]> }).results);
    assert.ok(results.length > 90);
    for (const { name, error } of results) await t.test(name, () => assert.equal(error, undefined));
  } finally {
    await browser.close();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
