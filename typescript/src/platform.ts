/** What Node brings: ONNX Runtime's native build, and signatures. */
import { verify } from "node:crypto";
import * as runtime from "onnxruntime-node";
import type { Platform } from "./protocol/interfaces.js";

export const NODE: Platform = {
  runtime,
  async verify(key, message, signature) {
    return verify(null, message, { key: Buffer.from(key), format: "der", type: "spki" }, signature);
  },
};
