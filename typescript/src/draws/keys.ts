/** The keys that a client derives from its secret key. */
import { blake2b } from "@noble/hashes/blake2.js";

const text = new TextEncoder();
const PERSON = text.encode("fedau2 task\0\0\0\0\0");

/** Returns a client's 16 secret bytes for one task. */
export function taskKey(key: Uint8Array, taskId: string): Uint8Array {
  return blake2b(text.encode(taskId), { dkLen: 16, key, personalization: PERSON });
}

/** Returns the key of the noise for one manifest, so that it does not cancel between contributions to two. */
export function noiseKey(key: Uint8Array, manifest: Uint8Array): Uint8Array {
  return blake2b(manifest, { dkLen: 16, key });
}
