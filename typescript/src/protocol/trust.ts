/** Checks that a manifest is signed by a publisher that the app trusts (docs/protocol/manifest.md). */
import { UntrustedTaskError, UsageError } from "../errors.js";
import { split } from "../wire/signatures.js";
import type { Platform } from "./interfaces.js";
import { publicKeyOf } from "./publicKeys.js";

/** Checks manifests. Without a list of keys, every manifest is trusted. */
export class Trust {
  private readonly keys: readonly Uint8Array<ArrayBuffer>[] | undefined;

  /**
   * @param platform verifies signatures.
   * @param keys Ed25519 public keys (PEM); a signature by any of them is enough.
   * @throws UsageError one is no such key, or the list is empty, so that no task could be trusted.
   */
  constructor(
    private readonly platform: Platform,
    keys?: readonly string[],
  ) {
    if (keys === undefined) return;
    if (!Array.isArray(keys)) throw new UsageError("publishers must be a list of keys");
    if (keys.length === 0) throw new UsageError("publishers lists no key: leave it out to run any task");
    this.keys = keys.map(publicKeyOf);
  }

  /** @throws UntrustedTaskError a serialised manifest is not signed by one of the keys. */
  async check(manifest: Uint8Array): Promise<void> {
    if (this.keys === undefined) return;
    const signed = split(manifest);
    if (signed === undefined) {
      throw new UntrustedTaskError("the manifest is not signed, and the app trusts only those of its publishers");
    }
    for (const key of this.keys) {
      if (await this.platform.verify(key, signed.message, signed.signature)) return;
    }
    throw new UntrustedTaskError("no publisher that the app trusts made the manifest's signature");
  }
}
