/** Splits the signature off a serialised manifest: it is the last field, over all bytes before it. */
import { concatenated, same } from "./blobs.js";

const SIZE = 64;
const CONTEXT = new TextEncoder().encode("fedau2 manifest\0");
/** Tag and length of `TaskManifest.signature`, field 1000. */
const TAG = Uint8Array.of(0xc2, 0x3e, SIZE);

/** Returns the signed message and its signature; undefined if the manifest is not signed. */
export function split(manifest: Uint8Array): { message: Uint8Array; signature: Uint8Array } | undefined {
  const end = manifest.length - SIZE - TAG.length;
  if (end < 0 || !same(manifest.subarray(end, end + TAG.length), TAG)) return undefined;
  return {
    message: concatenated([CONTEXT, manifest.subarray(0, end)]),
    signature: manifest.subarray(end + TAG.length),
  };
}
