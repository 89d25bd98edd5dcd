/** The client of Node. */
import { text } from "./arguments.js";
import { Client } from "./client.js";
import { NODE } from "./platform.js";
import { checkedSettings, type Settings } from "./settings.js";
import { SqliteStore } from "./store/sqlite.js";
import { type Address, GrpcTransport } from "./transport/grpc.js";

/** Arguments of `FedClient.open`. */
export interface Options extends Settings, Address {
  /** A folder that only this client uses. */
  readonly stateDir: string;
}

/** One user's recommender on one device, with its state in a folder. */
export class FedClient extends Client {
  /**
   * Opens a client's state folder, without using the network.
   *
   * @throws UsageError an argument has a wrong value.
   * @throws StoreLockedError another client has it open.
   * @throws StoreLostError the folder has lost its database.
   * @throws StoreError the folder holds something else, or cannot be used.
   */
  static open(options: Options): FedClient {
    const settings = checkedSettings(options, NODE);
    text("coordinator", options.coordinator);
    const store = new SqliteStore(text("stateDir", options.stateDir), settings.maxInteractions);
    return new FedClient({ store, platform: NODE, settings, connect: () => new GrpcTransport(options) });
  }
}
