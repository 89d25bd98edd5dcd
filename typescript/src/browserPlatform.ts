/** What a browser brings: ONNX Runtime as WebAssembly on one thread, and signatures by Web Crypto. */
import * as runtime from "onnxruntime-web/wasm";
import { UntrustedTaskError } from "./errors.js";
import type { Platform } from "./protocol/interfaces.js";

const ED25519 = { name: "Ed25519" };

export const BROWSER: Platform = {
  runtime,
  async verify(key, message, signature) {
    return crypto.subtle.verify(ED25519, await imported(key), new Uint8Array(signature), new Uint8Array(message));
  },
};

/** Says from which address the runtime loads its WebAssembly. It is loaded with the first graph. */
export function useWasm(address: string): void {
  runtime.env.wasm.wasmPaths = { wasm: address };
  runtime.env.wasm.numThreads = 1; // more threads need a page that is isolated from other origins
}

async function imported(key: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  try {
    return await crypto.subtle.importKey("spki", key, ED25519, false, ["verify"]);
  } catch (error) {
    if ((error as Error).name !== "NotSupportedError") throw error;
    throw new UntrustedTaskError("this browser cannot check Ed25519 signatures, so no task is trusted: use a newer one");
  }
}
