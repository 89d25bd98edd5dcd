/**
 * Devices that a test of another language drives: a line of JSON asks, and a line of JSON answers.
 *
 * {"open": {...Options, "key": hex, "records": [...], "attributes": {...}}} opens the next device.
 * {"sync": n} and {"recommend": n, "k": k} use the device with that number.
 */
import Database from "better-sqlite3";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { FedClient, type Options, type Recorded } from "../src/index.js";

interface Device extends Options {
  readonly key: string;
  readonly records: readonly Recorded[];
  readonly attributes: Readonly<Record<string, string>>;
}

const clients: FedClient[] = [];

async function opened({ key, records, attributes, ...options }: Device): Promise<void> {
  await FedClient.open(options).close(); // makes the state, with a key of its own
  const database = new Database(join(options.stateDir, "state.db"));
  database.prepare("UPDATE client SET key = ?").run(Buffer.from(key, "hex"));
  database.close();
  const client = FedClient.open(options);
  await client.recordMany(records);
  for (const [name, value] of Object.entries(attributes)) await client.setAttribute(name, value);
  clients.push(client);
}

async function answered(request: { open?: Device; sync?: number; recommend?: number; k?: number }): Promise<unknown> {
  if (request.open !== undefined) return opened(request.open);
  if (request.sync !== undefined) return clients[request.sync]!.sync();
  return clients[request.recommend!]!.recommend(request.k!);
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await answered(JSON.parse(line)).then(
    (value) => ({ value: value ?? null }),
    (error: Error) => ({ error: `${error.name}: ${error.message}` }),
  );
  console.log(JSON.stringify(answer));
}
await Promise.all(clients.map((client) => client.close()));
