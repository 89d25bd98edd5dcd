/** What Node brings: ONNX Runtime's native build, and signatures. */
import { createPublicKey, verify } from "node:crypto";
import * as runtime from "onnxruntime-node";
import { UsageError } from "./errors.js";
import type { Platform } from "./protocol/interfaces.js";

export const NODE: Platform = {
  runtime,
  async verify(key, message, signature) {
    return verify(null, message, publicKey(key), signature);
  },
};

function publicKey(pem: string): ReturnType<typeof createPublicKey> {
  let key: ReturnType<typeof createPublicKey>;
  try {
    key = createPublicKey(pem);
  } catch (error) {
    throw new UsageError(`a publisher's key must be the text of a PEM file: ${(error as Error).message}`);
  }
  if (key.asymmetricKeyType !== "ed25519") throw new UsageError("a publisher's key must be an Ed25519 key");
  return key;
}
