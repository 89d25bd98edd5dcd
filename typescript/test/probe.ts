/** One probe of this SDK, as scripts/languages/probe.py is of the Python SDK. */
import { readFileSync } from "node:fs";
import { FedClient } from "../src/index.js";

const [probe, stateDir, coordinator, population] = process.argv.slice(2);
const client = FedClient.open({ stateDir: stateDir!, coordinator: coordinator!, population: population!, personalSteps: 0 });
if (probe === "sync") {
  await client.recordMany(Array.from({ length: 50 }, (_, number) => `movie-${number}`));
  await client.setAttribute("gender", "F");
  await client.sync();
} else {
  await client.recommend(10);
}
const end = Date.now() / 1000;
await client.close();
const { user, system } = process.cpuUsage();
const peak = readFileSync("/proc/self/status", "utf8").split("VmHWM:")[1]!.trim().split(/\s+/)[0];
console.log(JSON.stringify({ end, processor: (user + system) / 1e6, mib: Number(peak) / 1024 }));
