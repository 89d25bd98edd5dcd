/**
 * Devices in pages of Chromium that a test of another language drives: a line of JSON asks, and a line answers.
 *
 * {"open": {...Device}} opens a device and gives its number, by which the others name it:
 * {"sync": n}, {"recommend": n, "k": k} and {"recorded": n} use it. {"reload": n} loads its page anew.
 * {"rival": n} opens its state in a second tab. {"crash": n, "part": p} ends its page while a sync uploads the p-th part.
 * {"parts": n} gives the offsets of all parts that it has uploaded.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fromBinary } from "@bufbuild/protobuf";
import type { BrowserContext, Page } from "playwright-core";
import type { Options } from "../../src/browser.js";
import { UploadPartRequestSchema } from "../../src/gen/fedau2/v1/device_pb.js";
import { bundled } from "./bundles.js";
import { start } from "./chromium.js";
import type { CALLS, Device } from "./device.page.js";
import { PAGE, serve, WASM } from "./server.js";


type Call = keyof typeof CALLS;

/** A device in a tab of its own. */
class Tab {
  private readonly offsets: number[] = [];
  private page!: Page;

  constructor(
    private readonly browser: BrowserContext,
    private readonly address: string,
    private readonly options: Options,
  ) {}

  async load(): Promise<void> {
    this.page = await this.browser.newPage();
    this.page.on("request", (request) => {
      if (!request.url().endsWith("/UploadPart")) return;
      this.offsets.push(Number(fromBinary(UploadPartRequestSchema, request.postDataBuffer()!).header!.offset));
    });
    await this.page.goto(`${this.address}/index.html`);
  }

  /** Makes a call in the page. */
  call(name: Call, argument?: unknown): Promise<unknown> {
    return this.page.evaluate(
      ([name, argument]) => (globalThis as unknown as { calls: Record<string, Function> }).calls[name]!(argument),
      [name, argument] as const,
    );
  }

  async reload(): Promise<void> {
    await this.page.reload();
    await this.call("open", this.options);
  }

  async rival(): Promise<void> {
    const other = new Tab(this.browser, this.address, this.options);
    await other.load();
    await other.call("open", this.options).finally(() => other.page.close());
  }

  /** Ends the page once a part, counted from 1, is on its way, and opens the state in a new one. */
  async crash(part: number): Promise<void> {
    let parts = 0;
    const underway = new Promise<void>((resolve) => {
      void this.page.route("**/UploadPart", (route) => (++parts === part ? resolve() : route.continue()));
    });
    void this.call("sync").catch(() => undefined);
    await underway;
    const gone = this.page.waitForEvent("crash");
    const session = await this.browser.newCDPSession(this.page);
    void session.send("Page.crash").catch(() => undefined);
    await gone;
    await this.load();
    await this.call("open", this.options);
  }

  parts(): readonly number[] {
    return this.offsets;
  }
}

const folder = mkdtempSync(join(tmpdir(), "fedau2-"));
const { server, address } = await serve(new Map([["/index.html", PAGE], ["/page.js", await bundled("device.page.js")]]));
const browser = await start(folder);
const tabs: Tab[] = [];

async function answered(request: Record<string, unknown>): Promise<unknown> {
  const [name, value] = Object.entries(request)[0]!;
  if (name === "open") return opened(value as Omit<Device, "wasm">);
  const tab = tabs[value as number]!;
  if (name === "crash") return tab.crash(request["part"] as number);
  if (name === "reload" || name === "rival" || name === "parts") return tab[name]();
  return tab.call(name as Call, request["k"]);
}

async function opened(device: Omit<Device, "wasm">): Promise<number> {
  const made: Device = { ...device, wasm: WASM };
  const tab = new Tab(browser, address, made);
  await tab.load();
  await tab.call("make", made);
  return tabs.push(tab) - 1;
}

console.log(JSON.stringify({ value: address }));
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await answered(JSON.parse(line)).then(
    (value) => ({ value: value ?? null }),
    (error: Error) => ({ error: error.message }),
  );
  console.log(JSON.stringify(answer));
}
await browser.close();
server.close();
rmSync(folder, { recursive: true, force: true });
