/** Uses the demo's page at an address as a user does: `node build/test/browser/demo.js ADDRESS PICTURE`. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { start } from "./chromium.js";

const [address, picture] = process.argv.slice(2);
const LIKED = ["Nine Moons", "The Glass Colony"];
const folder = mkdtempSync(join(tmpdir(), "fedau2-"));
const browser = await start(folder);
const faults: string[] = [];
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("request", (request) => {
    if (new URL(request.url()).hostname !== "127.0.0.1") faults.push(`something was asked of ${request.url()}`);
  });
  const chosen = page.locator('#films button[aria-pressed="true"]');
  const said = (text: RegExp) => page.getByRole("status").filter({ hasText: text }).waitFor();

  await page.goto(`${address}/index.html`);
  await said(/Choose films/);
  await page.getByRole("button", { name: "Sync now" }).click();
  await said(/asked for no place/);
  for (const title of LIKED) {
    await page.getByRole("button", { name: title }).focus();
    await page.keyboard.press("Enter");
    await said(new RegExp(title));
  }
  assert.equal(await chosen.count(), LIKED.length);
  await page.getByRole("button", { name: "Sync now" }).click();
  await said(/round 1 was counted/);
  await page.locator("#best li").first().waitFor();
  const best = await page.locator("#best").innerText();
  assert.ok(LIKED.every((title) => !best.includes(title)));
  assert.match(await page.locator("#left tr").first().innerText(), /sent the change for round 1/);
  await page.screenshot({ path: picture!, fullPage: true });

  await page.reload();
  await page.locator("#best li").first().waitFor();
  assert.equal(await chosen.count(), LIKED.length);
  assert.equal(await page.locator("#best").innerText(), best);
  await said(/Choose films/);
  await page.getByText("What left before is not listed here").waitFor();

  await page.context().setOffline(true);
  await page.getByRole("button", { name: "Sync now" }).click();
  await said(/Nothing is lost/);
  assert.match(await page.locator("#left tr").first().innerText(), /may not have left\s+up to/);
  await page.context().setOffline(false);
  const offline = faults.splice(0);
  assert.ok(offline.every((fault) => fault.includes("ERR_INTERNET_DISCONNECTED")), String(offline));

  const second = await browser.newPage();
  await second.goto(`${address}/index.html`);
  await second.getByRole("alert").filter({ hasText: "another tab" }).waitFor();
  assert.equal(await second.getByRole("status").innerText(), "");
  await second.close();

  await page.getByRole("button", { name: "Delete my data" }).click();
  await said(/cannot be taken back\. You are a new user now/);
  assert.equal(await chosen.count(), 0);
  assert.equal(await page.locator("#best li").count(), 0);
  assert.deepEqual(faults, []);
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
