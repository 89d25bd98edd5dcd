/**
 * One probe of this SDK in Chromium, as scripts/languages/probe.py is of the Python SDK. Its clock starts with the page,
 * and its processor time and its memory are those of the page's process.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundled } from "./bundles.js";
import { start } from "./chromium.js";
import type { CALLS } from "./device.page.js";
import { PAGE, serve, WASM } from "./server.js";

const [probe, folder, coordinator, population] = process.argv.slice(2);
const noted = join(folder!, "port"); // state belongs to an origin, and so to a port
mkdirSync(folder!, { recursive: true });
const texts = new Map([["/index.html", PAGE], ["/page.js", await bundled("device.page.js")]]);
const { server, address } = await serve(texts, existsSync(noted) ? Number(readFileSync(noted, "utf8")) : 0);
writeFileSync(noted, new URL(address).port);

const browser = await start(join(folder!, "profile"));
const page = await browser.newPage();
await page.goto(`${address}/index.html`);
const options = { database: "probe", coordinator: coordinator!, population: population!, wasm: WASM, personalSteps: 0 };
const times = await page.evaluate(
  async ([probe, options]) => {
    const { calls } = globalThis as unknown as { calls: typeof CALLS };
    const records = Array.from({ length: 50 }, (_, number) => `movie-${number}`);
    if (probe === "sync") {
      await calls.make({ ...options, key: "", records, attributes: { gender: "F" } });
      await calls.sync();
    } else {
      await calls.open(options);
      await calls.recommend(10);
    }
    return { start: performance.timeOrigin / 1000, end: Date.now() / 1000 };
  },
  [probe, options] as const,
);
const session = await browser.browser()!.newBrowserCDPSession();
const { processInfo } = await session.send("SystemInfo.getProcessInfo");
const { id, cpuTime } = processInfo.filter(({ type }) => type === "renderer").sort((a, b) => b.cpuTime - a.cpuTime)[0]!;
const peak = readFileSync(`/proc/${id}/status`, "utf8").split("VmHWM:")[1]!.trim().split(/\s+/)[0];
console.log(JSON.stringify({ ...times, processor: cpuTime, mib: Number(peak) / 1024 }));
await browser.close();
server.close();
