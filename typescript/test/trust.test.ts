import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { UsageError } from "../src/errors.js";
import { NODE } from "../src/platform.js";
import { Trust } from "../src/protocol/trust.js";
import { vectors } from "./vectors.js";

const KEY: string = vectors("wire").signatures.key;
const SPKI = { type: "spki", format: "pem" } as const;
const ed25519 = generateKeyPairSync("ed25519");
const PRIVATE = ed25519.privateKey.export({ type: "pkcs8", format: "pem" }) as string;

const WRONG: Readonly<Record<string, unknown>> = {
  "no list": KEY,
  "an empty list": [],
  "no PEM": [KEY, "abc"],
  "no text": [5],
  "a null": null,
  "damaged base64": [KEY.replace("MCow", "M=ow")],
  "a short key": [KEY.replace(/.{4}\n-----END/, "\n-----END")],
  "a key of another kind": [generateKeyPairSync("x25519").publicKey.export(SPKI)],
};

for (const [name, keys] of Object.entries(WRONG)) {
  test(`publishers are checked at once: ${name}`, () => {
    assert.throws(() => new Trust(NODE, keys as string[]), UsageError);
  });
}

test("a private key is refused, and its text stays out of the error", () => {
  assert.throws(
    () => new Trust(NODE, [PRIVATE]),
    (error: Error) => error instanceof UsageError && /private key/.test(error.message) && !error.message.includes("MC4C"),
  );
});

test("public keys are taken, with white space around them", () => {
  new Trust(NODE, [KEY, `\r\n${(ed25519.publicKey.export(SPKI) as string).replaceAll("\n", "\r\n")}`]);
});
