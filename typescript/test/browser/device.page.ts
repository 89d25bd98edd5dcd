/** A page with one device, which a test drives. */
import { FedClient, type Options, type Recorded } from "../../src/browser.js";
import { answer, ONLY } from "../../src/store/objects.js";

/** A device to open, with its secret key as hexadecimal numbers. */
export interface Device extends Options {
  readonly key: string;
  readonly records: readonly (string | Recorded)[];
  readonly attributes: Readonly<Record<string, string>>;
}

let client: FedClient;

/** What a test can ask. */
export const CALLS = {
  /** Makes a state with given data, and with a given key unless it is empty. */
  async make({ key, records, attributes, ...options }: Device): Promise<void> {
    await CALLS.open(options);
    if (key !== "") {
      await client.close();
      await setKey(options.database, key);
      await CALLS.open(options);
    }
    await client.recordMany(records);
    for (const [name, value] of Object.entries(attributes)) await client.setAttribute(name, value);
  },

  async open(options: Options): Promise<void> {
    client = await FedClient.open(options);
  },

  sync: () => client.sync(),
  recommend: (k: number) => client.recommend(k),
  recorded: () => client.recorded(),
};

async function setKey(database: string, key: string): Promise<void> {
  const opened = await answer(indexedDB.open(database));
  const bytes = Uint8Array.from(key.match(/../g)!, (pair) => parseInt(pair, 16));
  await answer(opened.transaction("client", "readwrite").objectStore("client").put(bytes, ONLY));
  opened.close();
}

Object.assign(globalThis, { calls: CALLS });
