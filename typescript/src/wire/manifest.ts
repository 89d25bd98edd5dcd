/** Reads manifests, and refuses those that this SDK cannot run (docs/protocol/manifest.md). */
import { fromBinary } from "@bufbuild/protobuf";
import { bytesToHex } from "@noble/hashes/utils.js";
import { MissingFeatureError, UnsupportedTaskError } from "../errors.js";
import { Draw, type Graph, GraphKind, type Resource, type TaskManifest, TaskManifestSchema } from "../gen/fedau2/v1/task_pb.js";
import { Distribution, DType, TensorKind, TensorScope, type TensorSpec } from "../gen/fedau2/v1/tensors_pb.js";
import { expect, known, positive } from "./checks.js";
import { checkPlan, named } from "./plan.js";
import { checkItemAxis } from "./itemAxes.js";
import * as sizes from "./sizes.js";
import { sizeOf } from "./tensors.js";
import { checkWeights, FEATURE } from "./weights.js";

/** The bundle format that this SDK reads. */
export const FORMAT = 2;
/** Names of the features that this SDK has; a task that requires another is refused. */
export const FEATURES: ReadonlySet<string> = new Set([FEATURE]);

const MAX_FEATURES = 64;
const MAX_ANCESTORS = 256;
const MAX_FIRST_ROUND = 2n ** 53n;
const MAX_POPULATION = 128;
const END = 2n ** 53n;
const utf8 = new TextEncoder();
const MAX_ELEMENTS = 2 ** 31;
const NAME = /^[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?$/;

/**
 * Reads and checks a serialised manifest.
 *
 * @throws MissingFeatureError it requires a feature that this SDK does not have.
 * @throws UnsupportedTaskError it cannot be run for another reason; the text says which.
 */
export function parse(data: Uint8Array): TaskManifest {
  const manifest = read(data);
  // First, because the fields that come with a feature would be refused with a text that does not name it.
  const missing = manifest.requiredFeatures.filter((name) => !FEATURES.has(name)).sort();
  if (missing.length > 0) {
    const names = missing.join(", ");
    throw new MissingFeatureError(`the task requires what this SDK does not have (${names}): update the app`, missing);
  }
  check(manifest);
  return manifest;
}

function read(data: Uint8Array): TaskManifest {
  sizes.checkSize("manifest", BigInt(data.length), sizes.MANIFEST);
  let manifest: TaskManifest;
  try {
    manifest = fromBinary(TaskManifestSchema, data);
  } catch {
    throw new UnsupportedTaskError("not a TaskManifest message");
  }
  const { format, requiredFeatures: features } = manifest;
  expect(format <= FORMAT, `bundle format ${format} is newer than format ${FORMAT}: update the app`);
  expect(format >= FORMAT, `bundle format ${format} is older than format ${FORMAT}: build the bundle again`);
  expect(features.length <= MAX_FEATURES, `the manifest requires more than ${MAX_FEATURES} features`);
  expect(features.every((name) => NAME.test(name)), "the name of a required feature is malformed");
  expect(new Set(features).size === features.length, "the manifest requires a feature twice");
  return manifest;
}

function check(manifest: TaskManifest): void {
  expect(manifest.model !== "", "the manifest names no model");
  expect(manifest.items > 0, "the manifest's catalogue is empty");
  const names = manifest.tensors.map((spec) => spec.name);
  expect(new Set(names).size === names.length, "two tensors have the same name");
  for (const spec of manifest.tensors) checkTensor(spec, manifest.items);
  expect(manifest.graphs.every((graph) => graph.kind !== GraphKind.UNSPECIFIED), "a graph without a kind");
  checkAddress("catalogue", manifest.catalogue, sizes.ITEM * manifest.items);
  checkAddress("checkpoint", manifest.checkpoint, sizes.checkpoint(shared(manifest)));
  for (const graph of manifest.graphs) checkAddress("graph", graph.resource, Infinity);
  const derived = manifest.derivedStates;
  const distinct = new Set([...names, ...derived]).size === names.length + derived.length;
  expect(distinct && !derived.includes(""), "a derived state's name is taken");
  expect(manifest.draw in Draw, `unknown way to draw samples ${manifest.draw}`);
  expect([0, 64].includes(manifest.signature.length), "the manifest's signature is not one of 64 bytes");
  checkWeights(manifest);
  checkAncestors(manifest);
  checkRelease(manifest);
  checkPlan(manifest.plan, new Set([...derived, ...privateOf(manifest).map((spec) => spec.name)]));
}

function checkTensor(spec: TensorSpec, items: number): void {
  const { name, shape, initializer } = spec;
  expect(named(name), "a tensor's name is empty or longer than 128 bytes");
  expect(shape.length >= 1 && shape.length <= 4 && shape.every((length) => length > 0), `${name}: shape ${shape}`);
  expect(sizeOf(shape) <= MAX_ELEMENTS, `${name}: more than ${MAX_ELEMENTS} elements`);
  expect(spec.dtype === DType.DTYPE_FLOAT32, `${name}: unknown dtype ${spec.dtype}`);
  expect(known(TensorKind, spec.kind), `${name}: unknown kind ${spec.kind}`);
  expect(known(TensorScope, spec.scope), `${name}: unknown scope ${spec.scope}`);
  expect(spec.kind !== TensorKind.TABLE || shape[0] === items, `${name}: ${shape[0]} rows for ${items} items`);
  const distribution = initializer?.distribution ?? Distribution.UNSPECIFIED;
  expect(known(Distribution, distribution), `${name}: unknown initial distribution ${distribution}`);
  expect(distribution === Distribution.ZEROS || positive(initializer!.scale), `${name}: initial scale`);
  checkItemAxis(spec, items);
}

function checkAncestors({ ancestors, firstRound }: TaskManifest): void {
  expect(ancestors.length <= MAX_ANCESTORS, `the manifest names more than ${MAX_ANCESTORS} ancestors`);
  expect(ancestors.every((hash) => hash.length === 32), "an ancestor is not a SHA-256 of 32 bytes");
  expect(new Set(ancestors.map(bytesToHex)).size === ancestors.length, "the manifest names an ancestor twice");
  expect(firstRound <= MAX_FIRST_ROUND, `the first round ${firstRound} is above ${MAX_FIRST_ROUND}`);
  expect(firstRound === 0n || ancestors.length > 0, "the manifest has a first round, but names no ancestor");
}

function checkRelease({ release }: TaskManifest): void {
  if (release === undefined) return;
  const { sequence, issued, expires } = release;
  const size = utf8.encode(release.population).length;
  expect(size > 0 && size <= MAX_POPULATION, "the release's population does not have 1 to 128 bytes");
  expect(sequence > 0n && sequence < END, `the release's sequence number ${sequence} is not in 1 to 2^53 - 1`);
  expect(issued > 0n && issued < END, `the release's time of issue ${issued} is not in 1 to 2^53 - 1`);
  const lasts = expires === 0n || (expires > issued && expires < END);
  expect(lasts, `the release ends at ${expires}, which is not after its issue, or not below 2^53`);
}

function checkAddress(name: string, address: Resource | undefined, most: number): void {
  expect(address !== undefined && address.sha256.length === 32 && address.size >= 1n, `the ${name} is not a blob address`);
  sizes.checkSize(name, address!.size, most);
}

/** Returns the tensors that the checkpoint holds and contributions carry. */
export function shared(manifest: TaskManifest): TensorSpec[] {
  return manifest.tensors.filter((spec) => spec.scope !== TensorScope.PRIVATE);
}

/** Returns the tensors that stay on the device, in manifest order. */
export function privateOf(manifest: TaskManifest): TensorSpec[] {
  return manifest.tensors.filter((spec) => spec.scope === TensorScope.PRIVATE);
}

/** Returns the graphs of kinds that this SDK runs; a newer bundle may bring others. */
export function knownGraphs(manifest: TaskManifest): Graph[] {
  return manifest.graphs.filter((graph) => known(GraphKind, graph.kind));
}

/** Returns the prefix of the names of an adversary's tensors. */
export function prefixOf(adversary: string): string {
  return `adversary.${adversary}.`;
}
