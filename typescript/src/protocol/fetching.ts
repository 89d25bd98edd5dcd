/** Fetches a model version: what the store lacks of it, in pieces that are kept, and checked before it is used. */
import { DamagedTaskError, RefusedError, ResourceLimitError, TransportError, UnsupportedTaskError } from "../errors.js";
import type { Event } from "../events.js";
import { GraphKind, type Resource, type TaskManifest } from "../gen/fedau2/v1/task_pb.js";
import * as blobs from "../wire/blobs.js";
import * as manifest from "../wire/manifest.js";
import * as sizes from "../wire/sizes.js";
import { decode } from "../wire/encodings.js";
import { finite, sameShape, type Tensors } from "../wire/tensors.js";
import { checkSize, inspected } from "./inspection.js";
import type { Store, Transport } from "./interfaces.js";
import type { Lease } from "./lease.js";
import { carry, known } from "./succession.js";
import type { Trust } from "./trust.js";
import type { Model } from "./values.js";

const ROUNDS = 2n ** 63n;

/** A model version that has been fetched and adopted. */
export interface Fetched {
  readonly tensors: Tensors;
  /** The training graph; empty if the task has none. */
  readonly step: Uint8Array;
  /** Says what was carried over to the task from an ancestor. */
  readonly event: Event | undefined;
}

/** Returns the blobs of a model besides its manifest. */
export function parts(model: Model, task: TaskManifest): Resource[] {
  return [task.catalogue!, ...manifest.knownGraphs(task).map((graph) => graph.resource!), model.checkpoint];
}

/** Fetches one model version. */
export class Fetcher {
  constructor(
    private readonly store: Store,
    private readonly transport: Transport,
    private readonly model: Model,
    private readonly trust: Trust,
    private readonly population: string,
    private readonly lease: Lease,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /**
   * Fetches the manifest.
   *
   * @throws UntrustedTaskError, ReleaseError, MissingFeatureError, DamagedTaskError, UnsupportedTaskError it cannot be used.
   */
  async manifest(): Promise<TaskManifest> {
    const { round, manifest: address } = this.model;
    if (round >= ROUNDS) throw new UnsupportedTaskError(`the coordinator states round ${round}, not below 2**63`);
    sizes.checkSize("manifest", address.size, sizes.MANIFEST);
    const check = async (data: Uint8Array) => {
      const publisher = await this.trust.check(data);
      const device = { population: this.population, memory: this.store, time: () => Date.now() / 1000 };
      await this.trust.expectRelease(manifest.parse(data), publisher, device);
    };
    return manifest.parse(await this.blob(address, check));
  }

  /**
   * Fetches everything else, and makes the version the current one.
   *
   * @throws DamagedTaskError, UnsupportedTaskError it cannot be used; the model before it stays.
   * @throws ResourceLimitError it is too large; nothing else of it was fetched.
   */
  async rest(task: TaskManifest): Promise<Fetched> {
    const { store, model } = this;
    const graphs = manifest.knownGraphs(task);
    const all = [model.manifest, ...parts(model, task)];
    sizes.checkSize("checkpoint", model.checkpoint.size, sizes.checkpoint(manifest.shared(task)));
    for (const graph of graphs) checkSize(graph.resource!.size, graph.kind);
    if (all.reduce((sum, part) => sum + part.size, 0n) > sizes.MODEL) {
      throw new ResourceLimitError(`the task's model has more than ${sizes.MODEL} bytes, so it was not fetched`);
    }
    await store.makeRoom(all);
    const items = await this.blob(task.catalogue!);
    const listed = blobs.catalogue(items).length;
    let step: Uint8Array = new Uint8Array();
    for (const graph of graphs) {
      const content = await this.blob(graph.resource!, (data) => void inspected(data, graph.kind));
      if (graph.kind === GraphKind.STEP) step = content;
    }
    let tensors: Tensors = new Map();
    await this.blob(model.checkpoint, (data) => void (tensors = fitting(task, data)));
    if (listed !== task.items) {
      throw new UnsupportedTaskError(`the task's catalogue lists ${listed} items and its manifest ${task.items}`);
    }
    const over = await carry(store, model, task, items);
    await store.adopt({ model, blobs: all, task: known(model, task, items), carried: over?.carried });
    return { tensors, step, event: over?.event };
  }

  /** Returns a blob, fetched if the store lacks it. A blob that fails the check is not kept. */
  private async blob(
    address: Resource,
    check: (data: Uint8Array) => void | Promise<void> = () => undefined,
  ): Promise<Uint8Array> {
    const cached = await this.store.blob(address);
    if (cached !== undefined) {
      await check(cached);
      return cached;
    }
    const data = await this.fetch(address);
    await check(data);
    await this.store.keepBlob(address, data);
    return data;
  }

  /** Fetches a blob. It goes on while each attempt brings some bytes, and begins once more if they are wrong. */
  private async fetch(address: Resource): Promise<Uint8Array> {
    for (let again = false; ; ) {
      const before = await this.store.part(address);
      const came: Uint8Array[] = [before];
      try {
        await this.receive(address, before.length, came);
      } catch (error) {
        const data = blobs.concatenated(came);
        if (!(error instanceof DamagedTaskError)) await this.store.keepPart(address, data);
        if (!(error instanceof TransportError) || error instanceof RefusedError || data.length === before.length) throw error;
        continue;
      }
      const data = blobs.concatenated(came);
      if (blobs.fits(data, address)) return data;
      await this.store.keepPart(address, new Uint8Array());
      if (again || before.length === 0) {
        throw new DamagedTaskError(`blob ${blobs.nameOf(address).slice(0, 12)} does not match its hash`);
      }
      again = true;
    }
  }

  private async receive(address: Resource, offset: number, into: Uint8Array[]): Promise<void> {
    const missing = Number(address.size) - offset;
    if (missing === 0) return;
    const watch = this.lease.watch(missing);
    const limit = { within: this.lease.left(), signal: this.signal };
    let came = 0;
    for await (const piece of this.transport.fetch(address, offset, limit)) {
      came += piece.length;
      if (piece.length === 0 || came > missing) throw new DamagedTaskError("the coordinator sends wrong pieces of a blob");
      into.push(new Uint8Array(piece));
      watch(came);
    }
  }
}

/** Checks a checkpoint before it replaces one that works, and returns its tensors. */
function fitting(task: TaskManifest, data: Uint8Array): Tensors {
  const tensors = decode(data);
  const specs = manifest.shared(task);
  const fits = ({ name, shape }: (typeof specs)[number]) =>
    tensors.has(name) && sameShape(tensors.get(name)!.shape, shape);
  if (tensors.size !== specs.length || !specs.every(fits)) {
    throw new UnsupportedTaskError("the checkpoint's tensors are not those of the manifest");
  }
  if (![...tensors.values()].every(({ values }) => finite(values))) {
    throw new DamagedTaskError("the checkpoint has values that are not finite float32");
  }
  return tensors;
}
