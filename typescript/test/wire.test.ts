import { test } from "node:test";
import assert from "node:assert/strict";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { taskKey } from "../src/draws/keys.js";
import { MissingFeatureError } from "../src/errors.js";
import { GraphKind, RetryWindowSchema, TaskManifestSchema } from "../src/gen/fedau2/v1/task_pb.js";
import { adamStep } from "../src/onnx/adam.js";
import { NODE } from "../src/platform.js";
import { inspected } from "../src/protocol/inspection.js";
import { expectRelease } from "../src/protocol/releases.js";
import { Trust } from "../src/protocol/trust.js";
import { packState, unpackState } from "../src/protocol/values.js";
import { windowOf } from "../src/retry.js";
import { catalogue } from "../src/wire/blobs.js";
import { clip, encode, type Update } from "../src/wire/contributions.js";
import { decode } from "../src/wire/encodings.js";
import { FEATURES, parse } from "../src/wire/manifest.js";
import { type Tensors, unpack } from "../src/wire/tensors.js";
import { assertSame, bytes, numbers, type Packed, vectors } from "./vectors.js";

const wire = vectors("wire");

/** Returns the name of the error that work raises; null if it raises none. */
async function errorOf(work: () => unknown): Promise<string | null> {
  try {
    await work();
  } catch (error) {
    return (error as Error).name;
  }
  return null;
}

function orNull<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}

test("retry windows", () => {
  for (const { bytes: data, seconds } of wire.windows) {
    const window = windowOf(fromBinary(RetryWindowSchema, bytes(data)));
    assert.deepEqual(window === undefined ? null : [window.earliest, window.latest], seconds);
  }
});

test("Adam", () => {
  for (const { learning_rate: rate, before, gradient, after } of wire.adam) {
    const gradients = new Map([["p", { shape: gradient.shape, values: Float32Array.from(numbers(gradient)) }]]);
    assert.deepEqual(packState(adamStep(unpackState(bytes(before)), gradients, rate)), bytes(after));
  }
});

test("contributions have the same bytes", () => {
  for (const { bound, updates, bytes: expected } of wire.contributions) {
    const found = new Map<string, Update>();
    for (const [name, { rows, values }] of Object.entries(updates as Record<string, { rows?: Packed; values: Packed }>)) {
      const tensor = { shape: values.shape, values: Float32Array.from(numbers(values)) };
      found.set(name, rows === undefined ? tensor : { ...tensor, rows: Uint32Array.from(numbers(rows)) });
    }
    assert.deepEqual(encode(clip(found, bound)), bytes(expected));
  }
});

test("catalogues", () => {
  for (const { bytes: data, items } of wire.catalogues) assert.deepEqual(orNull(() => catalogue(bytes(data))), items);
});

for (const [name, read] of Object.entries({ checkpoints: unpack, encoded: decode })) {
  test(`checkpoints: ${name}`, () => {
    for (const { bytes: data, tensors } of wire[name]) {
      const found: Tensors | null = orNull(() => read(bytes(data)));
      assert.deepEqual(found && [...found.keys()].sort(), tensors && Object.keys(tensors).sort());
      for (const [tensor, { shape, values }] of found ?? []) {
        assert.deepEqual(shape, tensors[tensor].shape);
        assertSame(values, tensors[tensor]);
      }
    }
  });
}

for (const { name, bytes: data, error } of wire.manifests) {
  test(`a manifest: ${name}`, async () => assert.equal(await errorOf(() => parse(bytes(data))), error));
}

test("a task that requires what this SDK does not have is refused, and the error names it", () => {
  const task = fromBinary(TaskManifestSchema, bytes(wire.manifests[0].bytes));
  const requiring = (...features: string[]) => {
    const manifest = toBinary(TaskManifestSchema, { ...task, requiredFeatures: features });
    // A field of a newer protocol, which comes with the feature: number 999, one byte.
    return Uint8Array.from([...manifest, 0xba, 0x3e, 0x01, 0x00]);
  };
  assert.equal(parse(requiring(...FEATURES)).requiredFeatures.length, FEATURES.size);
  for (const features of [["secure-sums"], ["z", ...FEATURES, "a"]]) {
    const missing = features.filter((name) => !FEATURES.has(name)).sort();
    assert.throws(() => parse(requiring(...features)), (error: unknown) => {
      assert.ok(error instanceof MissingFeatureError);
      assert.deepEqual(error.features, missing);
      return true;
    });
  }
});

for (const { name, kind, bytes: data, error } of wire.graphs) {
  const number = GraphKind[kind.replace("GRAPH_KIND_", "") as keyof typeof GraphKind];
  test(`a graph: ${name}`, async () => assert.equal(await errorOf(() => inspected(bytes(data), number)), error));
}

for (const { name, bytes: data, error } of wire.signatures.manifests) {
  const trust = new Trust(NODE, [wire.signatures.key]);
  test(`a signature: ${name}`, async () => assert.equal(await errorOf(() => trust.check(bytes(data))), error));
}

for (const { name, population, required, steps } of wire.releases) {
  test(`releases: ${name}`, async () => {
    const numbers = new Map<string, number>();
    const memory = {
      leastSequences: async () => numbers,
      raiseSequence: async (_: string, publisher: string, sequence: number) =>
        void numbers.set(publisher, Math.max(sequence, numbers.get(publisher) ?? 0)),
    };
    for (const { publisher, manifest, time, error } of steps) {
      const task = fromBinary(TaskManifestSchema, bytes(manifest));
      const device = { population, memory, time: () => time };
      assert.equal(await errorOf(() => expectRelease(task, publisher, device, required)), error);
    }
  });
}

test("keys of tasks", () => {
  for (const { key, task_id: taskId, task_key: expected } of wire.signatures.task_keys) {
    assert.deepEqual(taskKey(bytes(key), taskId), bytes(expected));
  }
});
