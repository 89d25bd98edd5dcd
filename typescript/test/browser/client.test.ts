import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { FedClient, NoModelError, type Options, StoreClosedError, StoreLockedError, TransportError, UsageError } from "../../src/browser.js";

const OPTIONS: Options = {
  database: "client",
  coordinator: "http://127.0.0.1:1",
  population: "movies",
  wasm: "/typescript/node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
};

describe("a client in a browser", () => {
  afterEach(() => FedClient.remove(OPTIONS.database));

  test("wrong arguments are refused", async () => {
    for (const coordinator of ["", "fed.example.com:443", "http://fed.example.com", "http://localhost.example.com"]) {
      await assert.rejects(FedClient.open({ ...OPTIONS, coordinator }), UsageError);
    }
    await assert.rejects(FedClient.open({ ...OPTIONS, population: "" }), UsageError);
    await assert.rejects(FedClient.open({ ...OPTIONS, publishers: [] }), UsageError);
    await assert.rejects(FedClient.open({ ...OPTIONS, publishers: ["abc"] }), UsageError);
    for (const wrong of [undefined, "", 5]) {
      for (const name of ["coordinator", "database", "wasm"]) {
        await assert.rejects(FedClient.open({ ...OPTIONS, [name]: wrong } as Options), UsageError, `${name} ${wrong}`);
      }
    }
  });

  test("a sync without a coordinator loses nothing, and may be tried again", async () => {
    const client = await FedClient.open(OPTIONS);
    await client.record("a");
    await assert.rejects(client.recommend(), NoModelError);
    for (let attempt = 0; attempt < 2; attempt++) {
      await assert.rejects(client.sync(), (error: unknown) => error instanceof TransportError && error.temporary);
    }
    assert.deepEqual(await client.recorded(), ["a"]);
    await client.close();
    await assert.rejects(client.recorded(), StoreClosedError);
  });

  test("what is removed is gone, and an open client's state is not removed", async () => {
    const client = await FedClient.open(OPTIONS);
    await client.record("a");
    await assert.rejects(FedClient.remove(OPTIONS.database), StoreLockedError);
    await client.close();
    await FedClient.remove(OPTIONS.database);
    const anew = await FedClient.open(OPTIONS);
    assert.deepEqual(await anew.recorded(), []);
    await anew.close();
  });
});
