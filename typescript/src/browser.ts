/** The SDK's public names in a browser. */
import { text } from "./arguments.js";
import { BROWSER, useWasm } from "./browserPlatform.js";
import { Client, type Parts } from "./client.js";
import { UsageError } from "./errors.js";
import { checkedSettings, type Settings } from "./settings.js";
import { IndexedDbStore } from "./store/indexeddb.js";
import { type Browser, ObjectDatabase } from "./store/objects.js";
import { ConnectTransport } from "./transport/connect.js";

export * from "./names.js";

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Arguments of `FedClient.open`. */
export interface Options extends Settings {
  /** Address of the coordinator's web port, such as `https://fed.example.com`. */
  readonly coordinator: string;
  /** Name of the database of IndexedDB that only this client uses. */
  readonly database: string;
  /** Address at which the app serves `ort-wasm-simd-threaded.wasm` of the package onnxruntime-web. */
  readonly wasm: string | URL;
}

/** One user's recommender in one browser, for a page or a worker of a secure context. */
export class FedClient extends Client {
  /** True once the browser has promised not to remove the state by itself; the user may still do so. */
  readonly persistent: Promise<boolean>;

  private constructor(parts: Parts) {
    super(parts);
    this.persistent = persistent();
  }

  /**
   * Opens a client's state, without using the network.
   *
   * @throws UsageError an argument has a wrong value, or the page is not in a secure context.
   * @throws StoreLockedError another tab has it open.
   * @throws StoreLostError the browser has removed it or a part of it: `remove` it to begin as a new user.
   * @throws StoreError it cannot be used.
   */
  static async open(options: Options): Promise<FedClient> {
    const [settings, browser] = [checkedSettings(options, BROWSER), own()];
    const [database, coordinator] = [text("database", options.database), checkedAddress(options.coordinator)];
    useWasm(addressOf(options.wasm));
    const store = await IndexedDbStore.open(database, settings.maxInteractions, browser);
    return new FedClient({ store, platform: BROWSER, settings, connect: () => new ConnectTransport(coordinator) });
  }

  /**
   * Removes all state of a client that is not open, with its secret key. The next one is a new user.
   *
   * @throws StoreLockedError a client has it open.
   */
  static async remove(database: string): Promise<void> {
    await ObjectDatabase.remove(database, own());
  }
}

function checkedAddress(coordinator: string): string {
  const address = URL.canParse(coordinator) ? new URL(coordinator) : undefined;
  if (address?.protocol === "https:" || (address?.protocol === "http:" && LOOPBACK.test(address.hostname))) {
    return coordinator;
  }
  throw new UsageError("a coordinator's address begins with https://, or with http:// if it is on this machine");
}

function addressOf(wasm: unknown): string {
  const named = wasm instanceof URL ? wasm.href : text("wasm", wasm);
  if (!URL.canParse(named, location.href)) throw new UsageError("wasm must be an address");
  return new URL(named, location.href).href;
}

async function persistent(): Promise<boolean> {
  try {
    return await navigator.storage.persist();
  } catch {
    return false; // a worker cannot ask
  }
}

function own(): Browser {
  if (!isSecureContext) throw new UsageError("the SDK needs a secure context: serve the page by https, or on localhost");
  return { indexedDB, locks: navigator.locks, marks: marks() };
}

function marks(): Storage | undefined {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined; // the user has forbidden it
  }
}
