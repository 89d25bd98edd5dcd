/** What a browser brings: ONNX Runtime as WebAssembly on one thread, and signatures by Web Crypto. */
import * as runtime from "onnxruntime-web/wasm";
import { UntrustedTaskError, UsageError } from "./errors.js";
import type { Platform } from "./protocol/interfaces.js";

const PEM = /-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----/;
const ED25519 = { name: "Ed25519" };

export const BROWSER: Platform = {
  runtime,
  async verify(key, message, signature) {
    const imported = await publicKey(key);
    return crypto.subtle.verify(ED25519, imported, new Uint8Array(signature), new Uint8Array(message));
  },
};

/** Says from which address the runtime loads its WebAssembly. It is loaded with the first graph. */
export function useWasm(address: string): void {
  runtime.env.wasm.wasmPaths = { wasm: address };
  runtime.env.wasm.numThreads = 1; // more threads need a page that is isolated from other origins
}

async function publicKey(pem: string): Promise<CryptoKey> {
  const text = PEM.exec(pem)?.[1]?.replace(/\s/g, "");
  if (text === undefined) throw new UsageError("a publisher's key must be the text of a PEM file");
  try {
    const data = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return await crypto.subtle.importKey("spki", data, ED25519, false, ["verify"]);
  } catch (error) {
    const { name } = error as Error;
    if (name === "NotSupportedError") {
      throw new UntrustedTaskError("this browser cannot check Ed25519 signatures, so no task is trusted: use a newer one");
    }
    throw new UsageError(`a publisher's key must be an Ed25519 key in a PEM file: ${name}`);
  }
}
