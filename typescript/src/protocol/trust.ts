/** Checks that a manifest is signed by a publisher that the app trusts (docs/protocol/manifest.md). */
import { bytesToHex } from "@noble/hashes/utils.js";
import { UntrustedTaskError, UsageError } from "../errors.js";
import type { TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import { split } from "../wire/signatures.js";
import type { Platform } from "./interfaces.js";
import { publicKeyOf } from "./publicKeys.js";
import { type Device, expectRelease } from "./releases.js";

/** Bytes of a public key, which are the last ones of its DER form. */
const KEY_SIZE = 32;

/** Checks manifests. Without a list of keys, every manifest is trusted. */
export class Trust {
  private readonly keys: readonly Uint8Array<ArrayBuffer>[] | undefined;

  /**
   * @param platform verifies signatures.
   * @param keys Ed25519 public keys (PEM); a signature by any of them is enough.
   * @param requireRelease no bundle that was signed without a release is run.
   * @throws UsageError one is no such key, or the list is empty; or releases are required of nobody.
   */
  constructor(
    private readonly platform: Platform,
    keys?: readonly string[],
    private readonly requireRelease = false,
  ) {
    if (requireRelease && keys === undefined) throw new UsageError("requireRelease needs publishers");
    if (keys === undefined) return;
    if (!Array.isArray(keys)) throw new UsageError("publishers must be a list of keys");
    if (keys.length === 0) throw new UsageError("publishers lists no key: leave it out to run any task");
    this.keys = keys.map(publicKeyOf);
  }

  /**
   * Returns the key that signed a serialised manifest, hexadecimal; undefined if every manifest is trusted.
   *
   * @throws UntrustedTaskError it is not signed by one of the keys.
   */
  async check(manifest: Uint8Array): Promise<string | undefined> {
    if (this.keys === undefined) return undefined;
    const signed = split(manifest);
    if (signed === undefined) {
      throw new UntrustedTaskError("the manifest is not signed, and the app trusts only those of its publishers");
    }
    for (const key of this.keys) {
      if (await this.platform.verify(key, signed.message, signed.signature)) return bytesToHex(key.subarray(-KEY_SIZE));
    }
    throw new UntrustedTaskError("no publisher that the app trusts made the manifest's signature");
  }

  /**
   * Returns if a device may run a task by its release, which it then remembers.
   *
   * @param publisher what `check` has returned.
   * @throws ReleaseError it may not.
   */
  async expectRelease(task: TaskManifest, publisher: string | undefined, device: Device): Promise<void> {
    if (publisher !== undefined) await expectRelease(task, publisher, device, this.requireRelease);
  }
}
