/** Reads the public keys of publishers. */
import { UsageError } from "../errors.js";

const PEM = /^\s*-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*$/;
/** How the DER encoding of every Ed25519 public key begins; 32 bytes follow. */
const ED25519 = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const SIZE = ED25519.length + 32;

/**
 * Returns an Ed25519 public key in DER (SubjectPublicKeyInfo).
 *
 * @param pem a PEM file's text.
 * @throws UsageError it is something else. The text stays out of the error, because it may be a private key.
 */
export function publicKeyOf(pem: unknown): Uint8Array<ArrayBuffer> {
  if (typeof pem === "string" && pem.includes("PRIVATE KEY")) {
    throw new UsageError("publishers lists a private key: keep it out of the app, and give the public key");
  }
  const der = typeof pem === "string" ? decoded(PEM.exec(pem)?.[1]) : undefined;
  if (der?.length !== SIZE || !ED25519.every((byte, place) => der[place] === byte)) {
    throw new UsageError("each of publishers must be the text of a PEM file with an Ed25519 public key");
  }
  return der;
}

function decoded(base64: string | undefined): Uint8Array<ArrayBuffer> | undefined {
  try {
    return base64 === undefined ? undefined : Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  } catch {
    return undefined;
  }
}
